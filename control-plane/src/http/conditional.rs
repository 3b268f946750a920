//! `If-None-Match`: 304 instead of a representation that the caller has (RFC 9110 §13.1.2), so that polling is cheap.

use crate::http::extract::tags;
use axum::{
    extract::Request,
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Middleware: answers 304 to a GET whose `If-None-Match` names the entity tag of the answer.
pub async fn not_modified(request: Request, next: Next) -> Response {
    let known = match *request.method() {
        Method::GET | Method::HEAD => tags(request.headers(), header::IF_NONE_MATCH),
        _ => None,
    };
    let response = next.run(request).await;
    let Some(known) = known.filter(|_| response.status() == StatusCode::OK) else { return response };
    let Some(tag) = response.headers().get(header::ETAG).cloned() else { return response };
    let present = tag.to_str().unwrap_or_default().trim_matches('"');
    if !known.iter().any(|tag| tag == present || tag == "*") {
        return response;
    }
    let mut unchanged = StatusCode::NOT_MODIFIED.into_response();
    unchanged.headers_mut().insert(header::ETAG, tag);
    unchanged
}
