//! JSON bodies and idempotency keys.

use crate::{
    app::{App, IdempotencyKey, Refusal},
    http::HttpError,
};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, Method, StatusCode, header},
};
use control_plane_api::problem::{FieldError, ProblemCode};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Largest body of a request; also the limit of the layer around the router.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// A JSON body that has its documented shape; every fault is a problem that points at its place.
#[derive(Debug, Clone)]
pub struct ValidJson<T>(pub T);

/// A body, with the idempotency key that came with it. For every POST, and every DELETE that starts a job.
#[derive(Debug, Clone)]
pub struct Idempotent<T> {
    pub key: Option<IdempotencyKey>,
    pub body: T,
}

/// The body of requests that have none: `Idempotent<NoBody>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoBody;

/// How a body is read.
pub trait Body: Sized {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal>;
}

impl Body for NoBody {
    fn read(_: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        match body {
            [] => Ok(Self),
            _ => Err(malformed("", "unexpected-body", "this request has no body")),
        }
    }
}

impl<T: DeserializeOwned> Body for T {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        if !is_json(headers) {
            return Err(Refusal::new(ProblemCode::UnsupportedMediaType));
        }
        let mut json = serde_json::Deserializer::from_slice(body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let fault = FieldError::new(place(&error), code(error.inner()), explain(error.inner()));
            Refusal::new(ProblemCode::MalformedRequest).field(match accepted(error.inner()) {
                known if known.is_empty() => fault,
                known => fault.with("accepted", known),
            })
        })?;
        json.end().map_err(|error| malformed("", code(&error), &explain(&error)))?;
        Ok(value)
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for ValidJson<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, HttpError> {
        let headers = request.headers().clone();
        let body = read(request, app).await?;
        Ok(Self(T::read(&headers, &body)?))
    }
}

impl<T: Body> FromRequest<Arc<App>> for Idempotent<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, HttpError> {
        let headers = request.headers().clone();
        let (method, path) = (request.method().clone(), request.uri().clone());
        let body = read(request, app).await?;
        let path = path.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self { key: key(&headers, &method, path, &body)?, body: T::read(&headers, &body)? })
    }
}

async fn read(request: Request, app: &Arc<App>) -> Result<Bytes, Refusal> {
    Bytes::from_request(request, app).await.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Refusal::new(ProblemCode::PayloadTooLarge).with("limit", MAX_BODY_BYTES)
        } else {
            malformed("", "unreadable", "the body broke off")
        }
    })
}

/// draft-ietf-httpapi-idempotency-key-header: an opaque text, quoted or not.
fn key(headers: &HeaderMap, method: &Method, path: &str, body: &[u8]) -> Result<Option<IdempotencyKey>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim().trim_matches('"');
    if !(1..=255).contains(&text.len()) {
        return Err(malformed("Idempotency-Key", "out-of-range", "1 to 255 visible ASCII characters"));
    }
    Ok(Some(IdempotencyKey::new(text.to_owned(), method.as_str(), path, body)))
}

/// `application/json`, or a `+json` type such as `application/merge-patch+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn malformed(pointer: &str, code: &str, detail: &str) -> Refusal {
    Refusal::new(ProblemCode::MalformedRequest).field(FieldError::new(pointer, code, detail))
}

/// JSON pointer to the fault. A field that is missing, and in some places one that is unknown, is only named by serde's words.
fn place(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let pointer = pointer(error.path());
    let text = error.inner().to_string();
    let named = text.strip_prefix("missing field `").or_else(|| text.strip_prefix("unknown field `"));
    match named.and_then(|rest| rest.split_once('`')) {
        Some((name, _)) if !pointer.ends_with(&format!("/{name}")) => format!("{pointer}/{name}"),
        _ => pointer,
    }
}

/// JSON pointer (RFC 6901) to where reading stopped.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

fn code(error: &serde_json::Error) -> &'static str {
    let text = error.to_string();
    match () {
        () if !error.is_data() => "malformed-json",
        () if text.starts_with("missing field") => "required",
        () if text.starts_with("unknown field") => "unknown-field",
        () if text.starts_with("unknown variant") => "unknown-value",
        () => "wrong-type",
    }
}

/// What an unknown value could have been, which serde only says in words.
fn accepted(error: &serde_json::Error) -> Vec<String> {
    let text = error.to_string();
    let known = text.strip_prefix("unknown variant").and_then(|rest| rest.rsplit_once("`, expected "));
    known.map_or(Vec::new(), |(_, known)| known.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

/// serde's words without its place in the text, which may quote a secret's surroundings.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
