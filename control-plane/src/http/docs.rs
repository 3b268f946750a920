//! Documentation pages: Swagger UI at `/docs`, the documents at `/openapi/…`, a page for each problem code.

use crate::{
    app::{App, AppError},
    http::{
        HttpError,
        context::{Language, RequestContext},
        documents::Api,
        tenant::errors,
    },
};
use axum::{
    Router,
    extract::Path,
    http::header,
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use std::sync::Arc;
use utoipa_swagger_ui::Config;

/// Scripts, styles and images of this origin only; Swagger UI sets styles on elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn router(api: &Api) -> Result<Router<Arc<App>>, serde_json::Error> {
    let mut router = Router::new();
    for (name, text) in api.files()? {
        let answer = ([(header::CONTENT_TYPE, "application/json")], text);
        router = router.route(&format!("/openapi/{name}"), get(async move || answer.clone()));
    }
    let documents = [("Tenant", "/openapi/tenant.json"), ("Operator", "/openapi/operator.json")];
    let urls = documents.map(|(name, url)| utoipa_swagger_ui::Url::new(name, url));
    let config = Arc::new(Config::new(urls));
    Ok(router
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route(
            "/docs/",
            get({
                let config = config.clone();
                async move || asset("index.html", config)
            }),
        )
        .route("/docs/{*file}", get(async move |Path(file): Path<String>| asset(&file, config)))
        .route("/docs/errors/{code}", get(error_page)))
}

fn asset(file: &str, config: Arc<Config<'static>>) -> Result<Response, HttpError> {
    let found = utoipa_swagger_ui::serve(file, config)
        .map_err(|error| AppError::Internal(format!("Swagger UI: {error}")))?
        .ok_or_else(AppError::not_found)?;
    let headers = [
        (header::CONTENT_TYPE, found.content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::CACHE_CONTROL, "public, max-age=3600".to_owned()),
    ];
    Ok((headers, found.bytes.into_owned()).into_response())
}

/// What a problem's `type` leads to.
async fn error_page(context: RequestContext, Path(code): Path<String>) -> Result<Response, HttpError> {
    let code = errors::find(&code).ok_or_else(AppError::not_found)?;
    let language = context.language();
    let page = errors::explain(code, language);
    let (cause, remedy) = match language {
        Language::English => ("Cause", "What to do"),
        Language::Chinese => ("原因", "处理办法"),
    };
    let html = format!(
        "<!doctype html><html lang=\"{}\"><meta charset=\"utf-8\"><title>{code}</title><h1>{title}</h1>\
         <p><code>{code}</code> · HTTP {status}</p><h2>{cause}</h2><p>{because}</p><h2>{remedy}</h2><p>{then}</p></html>",
        language.tag(),
        code = code.as_str(),
        title = escaped(&page.title),
        status = page.status,
        because = escaped(&page.cause),
        then = escaped(&page.remedy),
    );
    Ok((([(header::CONTENT_LANGUAGE, language.tag())]), Html(html)).into_response())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
