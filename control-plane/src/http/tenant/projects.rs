//! `/v1/projects`.

use crate::{
    app::{App, projects},
    domain::actor::{Actor, ProjectScope},
    http::{ApiRouter, Created, HttpError, Idempotent, IfMatch, Listed, Replayable, Tagged, ValidJson, ValidQuery},
};
use axum::{extract::State, http::StatusCode};
use control_plane_api::{
    page::{Page, PageQuery},
    problem::Problem,
    tenancy::{CreateProject, Project, Quota, RoleDoc, UpdateProject},
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new()
        .routes(routes!(list_projects, create_project))
        .routes(routes!(get_project, update_project, delete_project))
        .routes(routes!(list_quotas))
        .routes(routes!(list_roles))
}

/// List projects
///
/// The projects of your organisation that you have a role in, in order of creation.
#[utoipa::path(get, path = "/v1/projects", tag = "projects", params(PageQuery), security(("bearer" = [])),
    responses((status = 200, body = Page<Project>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_projects(
    State(app): State<Arc<App>>,
    actor: Actor,
    ValidQuery(query): ValidQuery<PageQuery>,
) -> Result<Listed<Project>, HttpError> {
    Ok(Listed(projects::list_projects(&app, &actor, &query).await?))
}

/// Make a project
#[utoipa::path(post, path = "/v1/projects", tag = "projects", request_body = CreateProject, security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours.")),
    responses((status = 201, body = Project), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create_project(
    State(app): State<Arc<App>>,
    actor: Actor,
    request: Idempotent<CreateProject>,
) -> Result<Replayable<Created<Tagged<Project>>>, HttpError> {
    let answer = projects::create_project(&app, &actor, request.key, &request.body).await?;
    Ok(Replayable::new(answer, |project| Created {
        location: format!("/v1/projects/{}", project.id),
        value: Tagged(project),
    }))
}

/// Show a project
#[utoipa::path(get, path = "/v1/projects/{project}", tag = "projects", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name.")),
    responses((status = 200, body = Project), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_project(State(app): State<Arc<App>>, scope: ProjectScope) -> Result<Tagged<Project>, HttpError> {
    Ok(Tagged(projects::get_project(&app, &scope).await?))
}

/// Change a project
///
/// A JSON merge patch (RFC 7396).
#[utoipa::path(patch, path = "/v1/projects/{project}", tag = "projects", 
    request_body(content = UpdateProject, content_type = "application/merge-patch+json"), security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Project), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn update_project(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    if_match: IfMatch,
    ValidJson(request): ValidJson<UpdateProject>,
) -> Result<Tagged<Project>, HttpError> {
    Ok(Tagged(projects::update_project(&app, &scope, if_match.tags(), &request).await?))
}

/// Delete a project
///
/// Only when it holds nothing.
#[utoipa::path(delete, path = "/v1/projects/{project}", tag = "projects", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name.")),
    responses((status = 204, description = "Deleted."), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn delete_project(State(app): State<Arc<App>>, scope: ProjectScope) -> Result<StatusCode, HttpError> {
    projects::delete_project(&app, &scope).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List quotas of a project
#[utoipa::path(get, path = "/v1/projects/{project}/quotas", tag = "projects", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name.")),
    responses((status = 200, body = Page<Quota>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_quotas(State(app): State<Arc<App>>, scope: ProjectScope) -> Result<Listed<Quota>, HttpError> {
    Ok(Listed(projects::list_quotas(&app, &scope).await?))
}

/// List roles
///
/// Every role that a member or a service account of the project can have, with its rights.
#[utoipa::path(get, path = "/v1/projects/{project}/roles", tag = "members", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name.")),
    responses((status = 200, body = Page<RoleDoc>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_roles(scope: ProjectScope) -> Result<Listed<RoleDoc>, HttpError> {
    Ok(Listed(projects::list_roles(&scope)?))
}
