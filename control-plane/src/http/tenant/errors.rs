//! `/v1/errors`: the catalogue of problem codes. Open to everybody.

use crate::{
    app::AppError,
    http::{
        ApiRouter, HttpError, Listed, ResourcePath,
        context::{Language, RequestContext},
    },
};
use axum::Json;
use control_plane_api::{
    page::Page,
    problem::{ErrorDoc, Problem, ProblemCode},
};
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(list_errors)).routes(routes!(get_error))
}

pub(crate) fn find(code: &str) -> Option<ProblemCode> {
    ProblemCode::ALL.iter().copied().find(|known| known.as_str() == code)
}

pub(crate) fn explain(code: ProblemCode, language: Language) -> ErrorDoc {
    ErrorDoc {
        code,
        status: code.status(),
        title: language.choose(code.title()).to_owned(),
        cause: language.choose(code.cause()).to_owned(),
        remedy: language.choose(code.remedy()).to_owned(),
    }
}

/// List problem codes
///
/// Every code that an answer can carry, with cause and remedy, in the language of `Accept-Language`.
#[utoipa::path(get, path = "/v1/errors", tag = "errors", responses((status = 200, body = Page<ErrorDoc>)))]
async fn list_errors(context: RequestContext) -> Listed<ErrorDoc> {
    Listed(Page::whole(ProblemCode::ALL.iter().map(|code| explain(*code, context.language())).collect()))
}

/// Explain a problem code
#[utoipa::path(get, path = "/v1/errors/{code}", tag = "errors", params(("code" = String, Path, description = "`not-found`.")),
    responses((status = 200, body = ErrorDoc), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_error(
    context: RequestContext,
    ResourcePath(code): ResourcePath<String>,
) -> Result<Json<ErrorDoc>, HttpError> {
    let code = find(&code).ok_or_else(AppError::not_found)?;
    Ok(Json(explain(code, context.language())))
}
