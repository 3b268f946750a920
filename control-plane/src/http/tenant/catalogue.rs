//! `/v1/regions`, `/v1/zones`, `/v1/specs`, `/v1/disk-types`, `/v1/kafka-versions`: what can be bought.

use crate::{
    app::{App, catalogue},
    domain::actor::Actor,
    http::{ApiRouter, HttpError, Listed},
};
use axum::extract::State;
use control_plane_api::{
    catalogue::{DiskType, KafkaVersion, Region, Spec, Zone},
    page::Page,
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new()
        .routes(routes!(list_regions))
        .routes(routes!(list_zones))
        .routes(routes!(list_specs))
        .routes(routes!(list_disk_types))
        .routes(routes!(list_kafka_versions))
}

/// List regions
///
/// Each with its zones, and the specs for which a zone has no room now.
#[utoipa::path(get, path = "/v1/regions", tag = "catalogue", security(("bearer" = [])),
    responses((status = 200, body = Page<Region>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_regions(State(app): State<Arc<App>>, actor: Actor) -> Result<Listed<Region>, HttpError> {
    Ok(Listed(catalogue::list_regions(&app, &actor).await?))
}

/// List zones
#[utoipa::path(get, path = "/v1/zones", tag = "catalogue", security(("bearer" = [])),
    responses((status = 200, body = Page<Zone>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_zones(State(app): State<Arc<App>>, actor: Actor) -> Result<Listed<Zone>, HttpError> {
    Ok(Listed(catalogue::list_zones(&app, &actor).await?))
}

/// List specs
///
/// The bandwidth specs on sale, with their limits and prices, the smallest first.
#[utoipa::path(get, path = "/v1/specs", tag = "catalogue", security(("bearer" = [])),
    responses((status = 200, body = Page<Spec>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_specs(State(app): State<Arc<App>>, actor: Actor) -> Result<Listed<Spec>, HttpError> {
    Ok(Listed(catalogue::list_specs(&app, &actor).await?))
}

/// List disk types
#[utoipa::path(get, path = "/v1/disk-types", tag = "catalogue", security(("bearer" = [])),
    responses((status = 200, body = Page<DiskType>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_disk_types(State(app): State<Arc<App>>, actor: Actor) -> Result<Listed<DiskType>, HttpError> {
    Ok(Listed(catalogue::list_disk_types(&app, &actor).await?))
}

/// List Kafka versions
///
/// Those that an order can name, the newest first.
#[utoipa::path(get, path = "/v1/kafka-versions", tag = "catalogue", security(("bearer" = [])),
    responses((status = 200, body = Page<KafkaVersion>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_kafka_versions(State(app): State<Arc<App>>, actor: Actor) -> Result<Listed<KafkaVersion>, HttpError> {
    Ok(Listed(catalogue::list_kafka_versions(&app, &actor).await?))
}
