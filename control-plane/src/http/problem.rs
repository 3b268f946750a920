//! Errors as problems (RFC 9457), in the caller's language.
//!
//! A handler returns an [`HttpError`]; it travels in the response's extensions to [`render`], which knows path, request id and language.

use crate::{
    app::{AppError, Refusal},
    http::{
        context::{Language, RequestContext},
        field_text,
    },
};
use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use control_plane_api::problem::{Problem, ProblemCode};

/// Any error that a handler or an extractor ends with.
#[derive(Debug)]
pub struct HttpError(AppError);

impl<E: Into<AppError>> From<E> for HttpError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let refusal = self.0.refusal();
        // Faults of ours are logged here, once, with all their causes; refusals are the caller's business.
        if refusal.code.status() >= 500 {
            let error = &self.0 as &dyn std::error::Error;
            tracing::error!(code = refusal.code.as_str(), error, "request failed");
        }
        refusal.into_response()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = status(self.code).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn status(code: ProblemCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Middleware: turns a [`Refusal`] on the response into its body.
pub async fn render(context: RequestContext, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let Some(refusal) = response.extensions_mut().remove::<Refusal>() else { return response };
    let code = refusal.code;
    let retry_after = refusal.retry_after_seconds;
    let mut answer = (status(code), Json(problem(refusal, path, &context))).into_response();
    // What layers below have set stays, `Allow` and `RateLimit` among it; the empty body's own headers go.
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(context.language().tag()));
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if code.status() == 401 {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sluice\""));
    }
    *answer.extensions_mut() = std::mem::take(response.extensions_mut());
    answer.extensions_mut().insert(code);
    answer
}

fn problem(refusal: Refusal, path: String, context: &RequestContext) -> Problem {
    let language = context.language();
    let say = |text| language.choose(text).to_owned();
    let code = refusal.code;
    let detail = match (refusal.detail, language) {
        (Some((en, _)), Language::English) => en,
        (Some((_, zh)), Language::Chinese) => zh,
        (None, _) => say(code.cause()),
    };
    let mut errors = refusal.errors;
    if language == Language::Chinese {
        for fault in &mut errors {
            if let Some(text) = field_text::chinese(fault) {
                fault.detail = text;
            }
        }
    }
    Problem {
        kind: format!("/docs/errors/{}", code.as_str()),
        title: say(code.title()),
        status: code.status(),
        detail,
        instance: path,
        code,
        request_id: context.origin().request_id.clone(),
        retry_after_seconds: refusal.retry_after_seconds,
        errors,
        params: refusal.params,
    }
}

/// Fallback for paths that are not served.
pub async fn no_route() -> Refusal {
    Refusal::new(ProblemCode::NotFound)
}

/// Fallback for methods that a path does not have.
pub async fn no_method() -> Refusal {
    Refusal::new(ProblemCode::MethodNotAllowed)
}
