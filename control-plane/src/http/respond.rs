//! Answers: entity tags, pages with links, replays, metrics.

use crate::app::Answer;
use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use control_plane_api::{
    metrics::{self, Exposition},
    page::Page,
    tenancy::Project,
};
use serde::Serialize;
use utoipa::ToSchema;

/// A resource that has an entity tag.
pub trait HasEtag {
    fn etag(&self) -> &str;
}

macro_rules! has_etag {
    ($($name:ty),*) => {$(
        impl HasEtag for $name {
            fn etag(&self) -> &str {
                &self.etag
            }
        }
    )*};
}

has_etag!(
    control_plane_api::certificate::Certificate,
    Project,
    control_plane_api::auth::ServiceAccount,
    control_plane_api::instance::Instance,
    control_plane_api::job::Job,
    control_plane_api::kafka_user::KafkaUser
);

/// 200 with the resource and its `ETag`.
#[derive(Debug, Clone)]
pub struct Tagged<T>(pub T);

impl<T: Serialize + HasEtag> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let tag = HeaderValue::from_str(&format!("\"{}\"", self.0.etag()));
        let mut response = Json(self.0).into_response();
        if let Ok(tag) = tag {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// 200 with metrics, as Prometheus reads them.
#[derive(Debug, Clone)]
pub struct PrometheusText(pub Exposition);

impl IntoResponse for PrometheusText {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], self.0.to_string()).into_response()
    }
}

/// A page of a list. [`link_next`] adds the link to the one after it.
#[derive(Debug, Clone)]
pub struct Listed<T: ToSchema>(pub Page<T>);

/// A page that says more than a [`Page`] does, with the link to the one after it.
#[derive(Debug, Clone)]
pub struct Linked<T> {
    pub next_cursor: Option<String>,
    pub page: T,
}

#[derive(Debug, Clone)]
struct NextCursor(String);

impl<T: Serialize + ToSchema> IntoResponse for Listed<T> {
    fn into_response(self) -> Response {
        Linked { next_cursor: self.0.next_cursor.clone(), page: self.0 }.into_response()
    }
}

impl<T: Serialize> IntoResponse for Linked<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.page).into_response();
        if let Some(cursor) = self.next_cursor.map(NextCursor) {
            response.extensions_mut().insert(cursor);
        }
        response
    }
}

/// Middleware: `Link` with `rel="next"` (RFC 8288), the same query with the next page's cursor.
pub async fn link_next(request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let mut response = next.run(request).await;
    if let Some(NextCursor(cursor)) = response.extensions_mut().remove::<NextCursor>() {
        // A name may come percent-encoded.
        let is_cursor = |pair: &str| form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| name == "cursor");
        let query = uri.query().unwrap_or_default().split('&');
        let kept = query.filter(|pair| !pair.is_empty() && !is_cursor(pair));
        let query: String = kept.map(|pair| format!("{pair}&")).collect();
        if let Ok(link) = HeaderValue::from_str(&format!("<{}?{query}cursor={cursor}>; rel=\"next\"", uri.path())) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    response
}

/// 201 with the resource and its `Location`.
#[derive(Debug, Clone)]
pub struct Created<T> {
    pub location: String,
    pub value: T,
}

impl<T: IntoResponse> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::CREATED, self.value).into_response();
        if let Ok(location) = HeaderValue::from_str(&self.location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// An answer that may be the repeat of an earlier one, which `Idempotency-Replayed` tells.
#[derive(Debug, Clone)]
pub struct Replayable<R> {
    response: R,
    replayed: bool,
}

impl<R> Replayable<R> {
    /// Makes the response from the use case's value; the same for the first request and for its repeats.
    pub fn new<T>(answer: Answer<T>, respond: impl FnOnce(T) -> R) -> Self {
        Self { response: respond(answer.value), replayed: answer.replayed }
    }
}

impl<R: IntoResponse> IntoResponse for Replayable<R> {
    fn into_response(self) -> Response {
        let mut response = self.response.into_response();
        if self.replayed {
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}
