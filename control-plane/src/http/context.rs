//! What is known of a request from its beginning to its end.

use crate::{
    app::Refusal,
    domain::actor::{Actor, Origin},
    http::limits::{Allowance, Exhausted, Limits},
};
use axum::{
    extract::{ConnectInfo, FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
};
use control_plane_api::id::ProjectId;
use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};
use uuid::Uuid;

pub(crate) const REQUEST_ID: &str = "x-request-id";
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

    /// `zh-CN` or `en`, for `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    pub fn choose(self, text: control_plane_api::problem::Text) -> &'static str {
        match self {
            Self::English => text.en,
            Self::Chinese => text.zh,
        }
    }
}

/// Shared by middleware and extractors of one request.
#[derive(Debug, Clone)]
pub struct RequestContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Origin,
    language: Language,
    trace_id: Option<String>,
    limits: Option<Arc<Limits>>,
    actor: OnceLock<Actor>,
    project: OnceLock<ProjectId>,
    allowance: OnceLock<Allowance>,
}

impl RequestContext {
    pub(crate) fn read(request: &Request, limits: Arc<Limits>) -> Self {
        let text = |name: &str| {
            let value = request.headers().get(name)?.to_str().ok()?;
            (!value.is_empty() && value.len() <= MAX_TEXT).then(|| value.to_owned())
        };
        let origin = Origin {
            request_id: text(REQUEST_ID).unwrap_or_else(|| Uuid::now_v7().to_string()),
            source_ip: request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip()),
            user_agent: text("user-agent"),
        };
        let trace_id = text("traceparent").and_then(|parent| trace_id(&parent));
        Self::new(origin, Language::of(request.headers()), trace_id, Some(limits))
    }

    fn new(origin: Origin, language: Language, trace_id: Option<String>, limits: Option<Arc<Limits>>) -> Self {
        let (actor, project, allowance) = Default::default();
        Self(Arc::new(Inner { origin, language, trace_id, limits, actor, project, allowance }))
    }

    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    pub fn language(&self) -> Language {
        self.0.language
    }

    /// Of the caller's `traceparent`.
    pub fn trace_id(&self) -> Option<&str> {
        self.0.trace_id.as_deref()
    }

    pub(crate) fn limits(&self) -> Option<&Limits> {
        self.0.limits.as_deref()
    }

    /// Who asked, once it is known.
    pub fn actor(&self) -> Option<&Actor> {
        self.0.actor.get()
    }

    /// The project of the path, once the caller is known to see it.
    pub fn project(&self) -> Option<ProjectId> {
        self.0.project.get().copied()
    }

    pub(crate) fn allowance(&self) -> Option<Allowance> {
        self.0.allowance.get().copied()
    }

    // Each is set once, by the first extractor that finds out; the others find the same.

    pub(crate) fn set_actor(&self, actor: &Actor) {
        let _ = self.0.actor.set(actor.clone());
    }

    pub(crate) fn set_project(&self, project: ProjectId) {
        let _ = self.0.project.set(project);
    }

    /// Takes note of what is left, and refuses when nothing is.
    pub(crate) fn charge(&self, left: Result<Option<Allowance>, Exhausted>) -> Result<(), Refusal> {
        let allowance = match left {
            Ok(allowance) => allowance,
            Err(Exhausted(allowance)) => Some(allowance),
        };
        if let Some(allowance) = allowance {
            let _ = self.0.allowance.set(allowance);
        }
        left.map(|_| ()).map_err(Into::into)
    }
}

/// `00-<32 hex digits>-<16 hex digits>-<flags>` (W3C Trace Context §3.2).
fn trace_id(traceparent: &str) -> Option<String> {
    let mut parts = traceparent.split('-');
    let (version, trace, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| {
        text.len() == length
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
            && text.bytes().any(|byte| byte != b'0')
    };
    (version.len() == 2 && version != "ff" && hex(trace, 32) && hex(parent, 16)).then(|| trace.to_owned())
}

/// The request's context; an empty one where the middleware did not run, which only happens in tests of handlers.
impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let found = parts.extensions.get::<Self>().cloned();
        Ok(found.unwrap_or_else(|| Self::new(Origin::default(), Language::default(), None, None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

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

    #[test]
    fn only_a_well_formed_traceparent_gives_a_trace() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(), Some(trace));
        for text in [
            "",
            "00-x-y-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            assert_eq!(trace_id(text), None, "{text}");
        }
    }
}
