//! What both of the node's HTTP APIs need: refusals as answers, and changes that are seen through.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use broker_api::refusal::{Refusal, RefusalCode};
use tokio::task::JoinHandle;

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

/// Runs a change to its end, though its caller may go away: a handler alone is dropped with its
/// connection, and would leave half of it.
pub async fn to_its_end<T: Send + 'static>(change: impl Future<Output = T> + Send + 'static) -> T {
    finished(tokio::spawn(change)).await
}

/// What a task gives; its panic is its waiter's too.
pub async fn finished<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime cancels it, and then nothing waits any more.
            Err(_) => std::future::pending().await,
        },
    }
}
