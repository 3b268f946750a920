//! `/operator/v1/zones`: room for brokers.

use crate::{
    app::{App, catalogue},
    domain::actor::Actor,
    http::{ApiRouter, HttpError, Listed, ResourcePath, ValidJson},
};
use axum::{Json, extract::State};
use control_plane_api::{
    catalogue::{PutZoneRoom, ZoneRoom},
    page::Page,
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(list_zone_rooms)).routes(routes!(put_zone_room))
}

/// List zones with their room
#[utoipa::path(get, path = "/operator/v1/zones", tag = "capacity", security(("bearer" = [])),
    responses((status = 200, body = Page<ZoneRoom>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_zone_rooms(State(app): State<Arc<App>>, actor: Actor) -> Result<Listed<ZoneRoom>, HttpError> {
    Ok(Listed(catalogue::list_zone_rooms(&app, &actor).await?))
}

/// Give a zone other room
///
/// What is taken stays taken; with less room than that, nothing more is placed there.
#[utoipa::path(put, path = "/operator/v1/zones/{zone}", tag = "capacity", request_body = PutZoneRoom, security(("bearer" = [])),
    params(("zone" = String, Path, description = "Name of the zone.")),
    responses((status = 200, body = ZoneRoom), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn put_zone_room(
    State(app): State<Arc<App>>,
    actor: Actor,
    ResourcePath(zone): ResourcePath<String>,
    ValidJson(request): ValidJson<PutZoneRoom>,
) -> Result<Json<ZoneRoom>, HttpError> {
    Ok(Json(catalogue::put_zone_room(&app, &actor, &zone, &request).await?))
}
