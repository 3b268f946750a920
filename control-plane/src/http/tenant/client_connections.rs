//! `/v1/projects/{project}/instances/{instance}/connections`.

use crate::{
    app::{App, client_connections},
    domain::actor::ProjectScope,
    http::{ApiRouter, HttpError, Linked, ResourcePath, ValidJson, ValidQuery},
};
use axum::{Json, extract::State};
use control_plane_api::{
    client_connections::{ClientConnectionFilter, ClientConnectionPage, CloseConnections, ClosedConnections},
    page::PageQuery,
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(list_connections)).routes(routes!(close_connections))
}

/// List who is connected
///
/// Connections of Kafka clients to all brokers, asked of the brokers when the call is made, by broker and age. A broker that does
/// not answer is named in `silent_brokers`.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/connections", tag = "connection", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."),
        ClientConnectionFilter, PageQuery),
    responses((status = 200, body = ClientConnectionPage), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_connections(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidQuery(filter): ValidQuery<ClientConnectionFilter>,
    ValidQuery(query): ValidQuery<PageQuery>,
) -> Result<Linked<ClientConnectionPage>, HttpError> {
    let page = client_connections::list_connections(&app, &scope, &instance, &filter, &query).await?;
    Ok(Linked { next_cursor: page.next_cursor.clone(), page })
}

/// End connections
///
/// Some by id, or all that fit a filter. They end at once, as when a line breaks; a client whose user may still log in comes back by
/// itself. Repeating it is harmless.
#[utoipa::path(post, path = "/v1/projects/{project}/instances/{instance}/connections/close", tag = "connection", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name.")),
    request_body = CloseConnections,
    responses((status = 200, body = ClosedConnections), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn close_connections(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidJson(request): ValidJson<CloseConnections>,
) -> Result<Json<ClosedConnections>, HttpError> {
    Ok(Json(client_connections::close_connections(&app, &scope, &instance, &request).await?))
}
