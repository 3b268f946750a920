//! Path, query and conditional headers.

use crate::{
    app::{AppError, Refusal},
    http::HttpError,
};
use axum::{
    RequestPartsExt,
    extract::{FromRequestParts, Path, Query},
    http::{HeaderMap, header, request::Parts},
};
use control_plane_api::problem::{FieldError, ProblemCode};
use serde::de::DeserializeOwned;

/// Typed parameters of the path, `{project}` and others alike. What is no id names nothing: 404, as for an id that does not exist.
#[derive(Debug, Clone)]
pub struct ResourcePath<T>(pub T);

impl<T: DeserializeOwned + Send + 'static, S: Send + Sync> FromRequestParts<S> for ResourcePath<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpError> {
        let Path(value) = parts.extract::<Path<T>>().await.map_err(|_| AppError::not_found())?;
        Ok(Self(value))
    }
}

/// The query string; a parameter of the wrong type is a problem.
#[derive(Debug, Clone)]
pub struct ValidQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ValidQuery<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpError> {
        let Query(value) = Query::try_from_uri(&parts.uri).map_err(|error| {
            let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            let (name, detail) = reason.split_once(": ").unwrap_or(("", &reason));
            Refusal::new(ProblemCode::MalformedRequest).field(FieldError::new(name, "wrong-type", detail))
        })?;
        Ok(Self(value))
    }
}

/// The entity tags of `If-Match`; `None` when there is no such header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(pub Option<Vec<String>>);

impl IfMatch {
    pub fn tags(&self) -> Option<&[String]> {
        self.0.as_deref()
    }

    /// For changes that must name the version that they were made from.
    pub fn required(&self) -> Result<&[String], Refusal> {
        self.tags().ok_or_else(|| Refusal::new(ProblemCode::PreconditionRequired))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpError> {
        Ok(Self(tags(&parts.headers, header::IF_MATCH)))
    }
}

/// Opaque texts of a list of entity tags; a header that is no text names none of ours. Weak tags are taken as strong ones: ours name whole resources.
pub(crate) fn tags(headers: &HeaderMap, name: header::HeaderName) -> Option<Vec<String>> {
    let text = headers.get(name)?.to_str().unwrap_or_default();
    Some(text.split(',').map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned()).collect())
}
