//! `/operator/v1/specs` and `/operator/v1/kafka-versions`: what is offered, at which price.

use crate::{
    app::{App, catalogue},
    domain::actor::Actor,
    http::{ApiRouter, HttpError, Listed, ResourcePath, ValidJson},
};
use axum::{Json, extract::State};
use control_plane_api::{
    catalogue::{KafkaVersion, PutKafkaVersion, PutSpec, Spec},
    page::Page,
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new()
        .routes(routes!(list_all_specs))
        .routes(routes!(put_spec))
        .routes(routes!(list_all_kafka_versions))
        .routes(routes!(put_kafka_version))
}

/// List all specs
///
/// Retired ones too.
#[utoipa::path(get, path = "/operator/v1/specs", tag = "catalogue", security(("bearer" = [])),
    responses((status = 200, body = Page<Spec>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_all_specs(State(app): State<Arc<App>>, actor: Actor) -> Result<Listed<Spec>, HttpError> {
    Ok(Listed(catalogue::list_all_specs(&app, &actor).await?))
}

/// Add, price or retire a spec
///
/// For orders to come: instances keep the figures they were sold with.
#[utoipa::path(put, path = "/operator/v1/specs/{spec}", tag = "catalogue", request_body = PutSpec, security(("bearer" = [])),
    params(("spec" = String, Path, description = "Name of the spec, as `kafka.100`.")),
    responses((status = 200, body = Spec), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn put_spec(
    State(app): State<Arc<App>>,
    actor: Actor,
    ResourcePath(name): ResourcePath<String>,
    ValidJson(request): ValidJson<PutSpec>,
) -> Result<Json<Spec>, HttpError> {
    Ok(Json(catalogue::put_spec(&app, &actor, &name, &request).await?))
}

/// List all Kafka versions
///
/// Retired ones too.
#[utoipa::path(get, path = "/operator/v1/kafka-versions", tag = "catalogue", security(("bearer" = [])),
    responses((status = 200, body = Page<KafkaVersion>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_all_kafka_versions(State(app): State<Arc<App>>, actor: Actor) -> Result<Listed<KafkaVersion>, HttpError> {
    Ok(Listed(catalogue::list_all_kafka_versions(&app, &actor).await?))
}

/// Offer or retire a Kafka version
///
/// The default takes the place of the default before it.
#[utoipa::path(put, path = "/operator/v1/kafka-versions/{version}", tag = "catalogue", request_body = PutKafkaVersion, security(("bearer" = [])),
    params(("version" = String, Path, description = "As `4.3.1`.")),
    responses((status = 200, body = KafkaVersion), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn put_kafka_version(
    State(app): State<Arc<App>>,
    actor: Actor,
    ResourcePath(version): ResourcePath<String>,
    ValidJson(request): ValidJson<PutKafkaVersion>,
) -> Result<Json<KafkaVersion>, HttpError> {
    Ok(Json(catalogue::put_kafka_version(&app, &actor, &version, &request).await?))
}
