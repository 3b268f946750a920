//! Turns a refusal into an HTTP answer; for both of the node's APIs.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use broker_api::refusal::{Refusal, RefusalCode};

pub fn refuse(code: RefusalCode, detail: String, generation: Option<u64>) -> Response {
    let status = match code {
        RefusalCode::Malformed => StatusCode::BAD_REQUEST,
        RefusalCode::ForeignIdentity | RefusalCode::Unservable => StatusCode::UNPROCESSABLE_ENTITY,
        RefusalCode::StaleGeneration | RefusalCode::GenerationReused => StatusCode::CONFLICT,
        RefusalCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        RefusalCode::NotFound => StatusCode::NOT_FOUND,
    };
    (status, Json(Refusal { code, detail, generation })).into_response()
}
