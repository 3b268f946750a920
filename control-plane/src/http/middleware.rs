//! What happens around every request. Outermost first, as [`super::router`] stacks them:
//! [`observe`] → problems → [`protect`] → panics → [`bound`] → [`audit_refusals`] → [`known_parameters`] → [`super::conditional`]
//! → the handler.

use crate::{
    app::{App, Refusal, audit},
    http::{
        context::{REQUEST_ID, RequestContext},
        extract::Admitted,
        limits::Limits,
    },
    telemetry::traces,
};
use axum::{
    RequestPartsExt,
    extract::{MatchedPath, Query, Request, State},
    http::{HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use control_plane_api::problem::{FieldError, ProblemCode};
use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};
use tracing::{Instrument, field::Empty, info_span};

/// Operation ids by method and template, from the documents.
pub type Operations = BTreeMap<(Method, String), &'static str>;

/// What each operation takes in its query, by method and template, from the documents.
pub type Queries = BTreeMap<(Method, String), Accepted>;

/// What an operation takes in its query.
#[derive(Debug)]
pub struct Accepted {
    pub parameters: Vec<String>,
    /// Of everybody, signed in or not.
    pub open: bool,
}

/// Makes the context; logs, times and counts the request; answers with its id, its time and the caller's allowance.
pub async fn observe(
    State((app, limits)): State<(Arc<App>, Arc<Limits>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let context = RequestContext::read(&request, limits);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let span = info_span!("request", request.id = context.origin().request_id, trace.id = Empty, %method, route);
    traces::continue_from(&span, request.headers());
    if let Some(id) = context.trace_id().map(str::to_owned).or_else(|| traces::trace_id(&span)) {
        span.record("trace.id", id);
    }
    request.extensions_mut().insert(context.clone());
    app.metrics.arrived();
    let mut response = async {
        let response = next.run(request).await;
        let status = response.status().as_u16();
        let took = began.elapsed();
        let actor = context.actor().map(|actor| actor.key());
        tracing::info!(http.status = status, http.ms = took.as_secs_f64() * 1e3, actor, "request answered");
        response
    }
    .instrument(span)
    .await;
    let took = began.elapsed();
    app.metrics.answered(method.as_str(), &route, response.status().as_u16(), took);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&context.origin().request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Ok(timing) = HeaderValue::from_str(&format!("app;dur={:.1}", took.as_secs_f64() * 1e3)) {
        headers.insert("server-timing", timing);
    }
    if let Some(allowance) = context.allowance() {
        allowance.write(headers);
    }
    response
}

/// Headers that keep a browser from doing anything with an answer but reading it. Pages set a policy of their own.
pub async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// A handler that panicked: a fault of ours, logged with its words, which the caller does not see.
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = text, "handler panicked");
    Refusal::new(ProblemCode::Internal).into_response()
}

/// Bounds of work: how much at once, and how long.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub slots: Arc<Semaphore>,
    pub timeout: Duration,
}

/// Refuses what would only queue, and gives up on what takes too long: the handler is dropped, its transaction rolled back.
pub async fn bound(State(bounds): State<Bounds>, request: Request, next: Next) -> Response {
    let Ok(_slot) = bounds.slots.try_acquire() else {
        return Refusal::new(ProblemCode::Unavailable).retry_after(1).into_response();
    };
    match tokio::time::timeout(bounds.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::new(ProblemCode::Timeout).into_response(),
    }
}

/// Refuses a query with a parameter that the operation does not document, as a misspelt `dry_run`, or with one given twice:
/// what was asked for must not be something else than what is done. As with every other fault, it is told only to those who may
/// ask there at all.
pub async fn known_parameters(
    State((app, queries)): State<(Arc<App>, Arc<Queries>)>,
    request: Request,
    next: Next,
) -> Response {
    let Some((accepted, fault)) = query_fault(&queries, &request) else { return next.run(request).await };
    if !accepted.open {
        let (mut parts, _) = request.into_parts();
        if let Err(refusal) = parts.extract_with_state::<Admitted, _>(&app).await {
            return refusal.into_response();
        }
    }
    Refusal::new(ProblemCode::MalformedRequest).field(fault).into_response()
}

/// Of a name that is not ours, so many characters are said back.
const LONGEST_NAME_TOLD: usize = 64;

/// The first one, with what is accepted; the handler tells of a query that cannot be read.
fn query_fault<'a>(queries: &'a Queries, request: &Request) -> Option<(&'a Accepted, FieldError)> {
    let route = request.extensions().get::<MatchedPath>()?.as_str().to_owned();
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let accepted = queries.get(&(method.clone(), route))?;
    let known = &accepted.parameters;
    let Query(given) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()).ok()?;
    let mut seen = BTreeSet::new();
    let fault = given.iter().find_map(|(name, _)| {
        if !known.contains(name) {
            let name: String = name.chars().take(LONGEST_NAME_TOLD).collect();
            let detail = match known.as_slice() {
                [] => format!("`{name}` is unknown: this request has no parameters"),
                names => format!("`{name}` is unknown; accepted: {}", names.join(", ")),
            };
            let fault = FieldError::new(&name, "unknown-parameter", detail);
            return Some(if known.is_empty() { fault } else { fault.with("accepted", known.clone()) });
        }
        (!seen.insert(name)).then(|| {
            let detail = format!("`{name}` is given twice; it is accepted once");
            FieldError::new(name, "parameter-twice", detail)
        })
    });
    fault.map(|fault| (accepted, fault))
}

/// Writes refused changes into the audit trail; those that were made are written by `app`, in their own transaction.
pub async fn audit_refusals(
    State((app, operations)): State<(Arc<App>, Arc<Operations>)>,
    context: RequestContext,
    request: Request,
    next: Next,
) -> Response {
    let key = request
        .extensions()
        .get::<MatchedPath>()
        .filter(|_| !request.method().is_safe())
        .map(|route| (request.method().clone(), route.as_str().to_owned()));
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let (Some(key), Some(actor), Some(refusal)) = (key, context.actor(), response.extensions().get::<Refusal>()) else {
        return response;
    };
    // Too many requests are counted, not written: the trail must not become the flood.
    if let Some(action) = operations.get(&key)
        && !matches!(refusal.code, ProblemCode::RateLimited | ProblemCode::Unavailable)
        && let Err(error) = audit::record_refusal(&app, actor, context.project(), action, &path, refusal.code).await
    {
        tracing::error!(error = &error as &dyn std::error::Error, "refusal not written to the audit trail");
    }
    response
}
