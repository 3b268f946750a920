//! `/v1/members` and `/v1/projects/{project}/members`.

use crate::{
    app::{
        App,
        members::{self, Circle},
    },
    domain::actor::{Actor, ProjectScope},
    http::{ApiRouter, Created, HttpError, Idempotent, Listed, Replayable, ResourcePath, ValidJson, ValidQuery},
};
use axum::{Json, extract::State, http::StatusCode};
use control_plane_api::{
    id::UserId,
    page::{Page, PageQuery},
    problem::Problem,
    tenancy::{Member, PutMember, UpdateMember},
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new()
        .routes(routes!(list_members, add_member))
        .routes(routes!(update_member, remove_member))
        .routes(routes!(list_project_members, add_project_member))
        .routes(routes!(update_project_member, remove_project_member))
}

/// List members of the organisation
#[utoipa::path(get, path = "/v1/members", tag = "members", params(PageQuery), security(("bearer" = [])),
    responses((status = 200, body = Page<Member>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_members(
    State(app): State<Arc<App>>,
    actor: Actor,
    ValidQuery(query): ValidQuery<PageQuery>,
) -> Result<Listed<Member>, HttpError> {
    Ok(Listed(members::list_members(&app, &Circle::Organisation(actor), &query).await?))
}

/// Add a member to the organisation
///
/// The role holds in every project. Makes the account if there is none with this address.
#[utoipa::path(post, path = "/v1/members", tag = "members", request_body = PutMember, security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours.")),
    responses((status = 201, body = Member), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn add_member(
    State(app): State<Arc<App>>,
    actor: Actor,
    request: Idempotent<PutMember>,
) -> Result<Replayable<Created<Json<Member>>>, HttpError> {
    let answer = members::add_member(&app, &Circle::Organisation(actor), request.key, &request.body).await?;
    Ok(Replayable::new(answer, |member| Created {
        location: format!("/v1/members/{}", member.user_id),
        value: Json(member),
    }))
}

/// Change a member's role in the organisation
#[utoipa::path(patch, path = "/v1/members/{user}", tag = "members", request_body = UpdateMember, security(("bearer" = [])),
    params(("user" = UserId, Path)),
    responses((status = 200, body = Member), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn update_member(
    State(app): State<Arc<App>>,
    actor: Actor,
    ResourcePath(user): ResourcePath<UserId>,
    ValidJson(request): ValidJson<UpdateMember>,
) -> Result<Json<Member>, HttpError> {
    Ok(Json(members::update_member(&app, &Circle::Organisation(actor), user, request.role).await?))
}

/// Take a member's role in the organisation away
///
/// Roles in single projects stay.
#[utoipa::path(delete, path = "/v1/members/{user}", tag = "members", security(("bearer" = [])), params(("user" = UserId, Path)),
    responses((status = 204, description = "Taken away."), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn remove_member(
    State(app): State<Arc<App>>,
    actor: Actor,
    ResourcePath(user): ResourcePath<UserId>,
) -> Result<StatusCode, HttpError> {
    members::remove_member(&app, &Circle::Organisation(actor), user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List members of a project
///
/// Those with a role in this project alone; roles in the organisation hold besides.
#[utoipa::path(get, path = "/v1/projects/{project}/members", tag = "members", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), PageQuery),
    responses((status = 200, body = Page<Member>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_project_members(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ValidQuery(query): ValidQuery<PageQuery>,
) -> Result<Listed<Member>, HttpError> {
    Ok(Listed(members::list_members(&app, &Circle::Project(scope), &query).await?))
}

/// Add a member to a project
///
/// Makes the account if the organisation has none with this address.
#[utoipa::path(post, path = "/v1/projects/{project}/members", tag = "members", request_body = PutMember, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours.")),
    responses((status = 201, body = Member), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn add_project_member(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    request: Idempotent<PutMember>,
) -> Result<Replayable<Created<Json<Member>>>, HttpError> {
    let project = scope.project;
    let answer = members::add_member(&app, &Circle::Project(scope), request.key, &request.body).await?;
    Ok(Replayable::new(answer, |member| Created {
        location: format!("/v1/projects/{project}/members/{}", member.user_id),
        value: Json(member),
    }))
}

/// Change a member's role in a project
#[utoipa::path(patch, path = "/v1/projects/{project}/members/{user}", tag = "members", request_body = UpdateMember, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("user" = UserId, Path)),
    responses((status = 200, body = Member), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn update_project_member(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, user)): ResourcePath<(String, UserId)>,
    ValidJson(request): ValidJson<UpdateMember>,
) -> Result<Json<Member>, HttpError> {
    Ok(Json(members::update_member(&app, &Circle::Project(scope), user, request.role).await?))
}

/// Remove a member from a project
#[utoipa::path(delete, path = "/v1/projects/{project}/members/{user}", tag = "members", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("user" = UserId, Path)),
    responses((status = 204, description = "Removed."), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn remove_project_member(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, user)): ResourcePath<(String, UserId)>,
) -> Result<StatusCode, HttpError> {
    members::remove_member(&app, &Circle::Project(scope), user).await?;
    Ok(StatusCode::NO_CONTENT)
}
