//! `/v1/projects/{project}/quotes`.

use crate::{
    app::{App, quotes},
    domain::actor::ProjectScope,
    http::{ApiRouter, Created, HttpError, Idempotent, Replayable, ResourcePath},
};
use axum::{Json, extract::State};
use control_plane_api::{
    id::QuoteId,
    problem::Problem,
    quote::{CreateQuote, Quote},
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(create_quote)).routes(routes!(get_quote))
}

/// Ask for a price
///
/// The price of an instance, what it is made of, and whether there is room. It holds for 15 minutes; an order that names the
/// quote fails when the price has moved.
#[utoipa::path(post, path = "/v1/projects/{project}/quotes", tag = "quotes", request_body = CreateQuote, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours.")),
    responses((status = 201, body = Quote), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create_quote(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    request: Idempotent<CreateQuote>,
) -> Result<Replayable<Created<Json<Quote>>>, HttpError> {
    let answer = quotes::create_quote(&app, &scope, request.key, &request.body).await?;
    Ok(Replayable::new(answer, |quote| Created {
        location: format!("/v1/projects/{}/quotes/{}", scope.project, quote.id),
        value: Json(quote),
    }))
}

/// Show a quote
#[utoipa::path(get, path = "/v1/projects/{project}/quotes/{quote}", tag = "quotes", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("quote" = QuoteId, Path)),
    responses((status = 200, body = Quote), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_quote(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, quote)): ResourcePath<(String, QuoteId)>,
) -> Result<Json<Quote>, HttpError> {
    Ok(Json(quotes::get_quote(&app, &scope, quote).await?))
}
