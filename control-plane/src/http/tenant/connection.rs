//! `/v1/projects/{project}/instances/{instance}/connection` and `/truststore`.

use crate::{
    app::{App, connection},
    domain::actor::ProjectScope,
    http::{ApiRouter, HttpError, ResourcePath, ValidQuery},
};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use control_plane_api::{
    connection::{Connection, ConnectionQuery, TruststoreFormat},
    problem::Problem,
};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(get_connection)).routes(routes!(get_truststore))
}

/// Show how to connect
///
/// Addresses; and, for `client`, complete files that write a message and read it back as they are printed. The password is
/// never in them: they read it from the environment.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/connection", tag = "connection", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."),
        ConnectionQuery),
    responses((status = 200, body = Connection), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_connection(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidQuery(query): ValidQuery<ConnectionQuery>,
) -> Result<Json<Connection>, HttpError> {
    Ok(Json(connection::get_connection(&app, &scope, &instance, &query).await?))
}

/// Query of the truststore.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TruststoreQuery {
    /// `pem` by default. The stores `p12` and `jks` have the password `dms@kafka`, which protects nothing: what is in them is
    /// public.
    format: Option<TruststoreFormat>,
}

/// Download what clients trust
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/truststore", tag = "connection", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."),
        TruststoreQuery),
    responses((status = 200, description = "A file in the format asked for.", body = [u8], content_type = "application/octet-stream"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_truststore(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidQuery(query): ValidQuery<TruststoreQuery>,
) -> Result<Response, HttpError> {
    let format = query.format.unwrap_or(TruststoreFormat::Pem);
    let store = connection::get_truststore(&app, &scope, &instance, format).await?;
    let disposition = format!("attachment; filename=\"{}\"", store.file_name);
    let headers = [(header::CONTENT_TYPE, store.content_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, store.content).into_response())
}
