//! What is known of a request from its beginning to its end.

use crate::domain::actor::{Actor, Origin};
use axum::{
    extract::{ConnectInfo, FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    middleware::Next,
    response::Response,
};
use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};
use uuid::Uuid;

const REQUEST_ID: &str = "x-request-id";
/// Longest request id and user agent that is taken over.
const MAX_TEXT: usize = 200;

/// Language of titles and details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    #[default]
    English,
    Chinese,
}

impl Language {
    /// Of the two we speak, the one that `Accept-Language` ranks first (RFC 9110 §12.5.4).
    pub fn of(headers: &HeaderMap) -> Self {
        let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut best = (0.0, Self::English);
        for part in wanted.split(',') {
            let mut pieces = part.split(';');
            let tag = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = pieces
                .find_map(|piece| piece.trim().strip_prefix("q=").and_then(|text| text.parse::<f32>().ok()))
                .unwrap_or(1.0);
            let language = match tag.split('-').next() {
                Some("zh") => Self::Chinese,
                Some("en") => Self::English,
                _ => continue,
            };
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// Shared by middleware and extractors of one request.
#[derive(Debug, Clone)]
pub struct RequestContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Origin,
    language: Language,
    actor: OnceLock<Actor>,
}

impl RequestContext {
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    pub fn language(&self) -> Language {
        self.0.language
    }

    /// Who asked, once it is known.
    pub fn actor(&self) -> Option<&Actor> {
        self.0.actor.get()
    }

    pub(crate) fn set_actor(&self, actor: &Actor) {
        // The first extractor that authenticates decides; the others find the same.
        let _ = self.0.actor.set(actor.clone());
    }

    fn read(request: &Request) -> Self {
        let text = |name: &str| {
            let value = request.headers().get(name)?.to_str().ok()?;
            (!value.is_empty() && value.len() <= MAX_TEXT).then(|| value.to_owned())
        };
        let origin = Origin {
            request_id: text(REQUEST_ID).unwrap_or_else(|| Uuid::now_v7().to_string()),
            source_ip: request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip()),
            user_agent: text("user-agent"),
        };
        Self(Arc::new(Inner { origin, language: Language::of(request.headers()), actor: OnceLock::new() }))
    }
}

/// Middleware, the outermost of those that speak of the request: makes the context and answers with its id.
pub async fn enter(mut request: Request, next: Next) -> Response {
    let context = RequestContext::read(&request);
    request.extensions_mut().insert(context.clone());
    let mut response = next.run(request).await;
    if let Ok(id) = HeaderValue::from_str(&context.origin().request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The request's context; a fresh one where the middleware did not run, which only happens in tests of handlers.
impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| {
            Self(Arc::new(Inner { origin: Origin::default(), language: Language::default(), actor: OnceLock::new() }))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_ranked_first_of_those_we_speak_is_taken() {
        for (header, expected) in [
            ("", Language::English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("fr, en;q=0.7, zh;q=0.8", Language::Chinese),
            ("en-GB;q=0.9, zh;q=0.8", Language::English),
            ("de", Language::English),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static(header));
            assert_eq!(Language::of(&headers), expected, "{header}");
        }
    }
}
