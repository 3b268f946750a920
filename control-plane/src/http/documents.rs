//! The two OpenAPI documents, made from the routes.

use crate::http::{
    ApiRouter, health,
    middleware::{Accepted, Operations, Queries},
    operator, tenant,
};
use axum::http::Method;
use utoipa::openapi::{
    Components, Info, OpenApi, PathItem, RefOr,
    path::{Operation, ParameterIn},
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

/// Routes and documents of both audiences.
pub struct Api {
    pub tenant: OpenApi,
    pub operator: OpenApi,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("operations", &self.operations().count()).finish()
    }
}

/// The document of an audience with what routes do not say.
fn complete(mut document: OpenApi, title: &str, description: &str) -> OpenApi {
    let mut info = Info::new(title, env!("CARGO_PKG_VERSION"));
    info.description = Some(description.to_owned());
    document.info = info;
    let components = document.components.get_or_insert_with(Components::new);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An access token of `POST /v1/auth/token`, or an API key (`slk_…`)."))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    document
}

/// Everything that is routed, with its documents.
pub fn routes() -> (axum::Router<std::sync::Arc<crate::app::App>>, Api) {
    let (tenant_routes, tenant) = tenant::router().merge(health::router()).split_for_parts();
    let (operator_routes, operator) = ApiRouter::new().merge(operator::router()).split_for_parts();
    let tenant = complete(
        tenant,
        "Sluice",
        "Managed Apache Kafka. Conventions: errors are problems (RFC 9457) with a `code` of `GET /v1/errors`; lists are read by \
         cursor; changes take `Idempotency-Key` and `If-Match`; what takes long answers 202 with a job.",
    );
    let operator = complete(
        operator,
        "Sluice operator",
        "For the operators of the platform: catalogue, capacity, all tenants' jobs.",
    );
    (tenant_routes.merge(operator_routes), Api { tenant, operator })
}

impl Api {
    /// Name of each document's file, and its text.
    pub fn files(&self) -> Result<[(&'static str, String); 2], serde_json::Error> {
        let text = |document: &OpenApi| document.to_pretty_json().map(|text| text + "\n");
        Ok([("tenant.json", text(&self.tenant)?), ("operator.json", text(&self.operator)?)])
    }

    /// Method, path and operation of everything documented.
    pub fn operations(&self) -> impl Iterator<Item = (Method, &str, &Operation)> {
        [&self.tenant, &self.operator].into_iter().flat_map(|document| &document.paths.paths).flat_map(
            |(path, item)| of_item(item).into_iter().map(move |(method, operation)| (method, path.as_str(), operation)),
        )
    }

    /// Operation ids, for the life of the process.
    pub(crate) fn ids(&self) -> Operations {
        self.operations()
            .filter_map(|(method, path, operation)| {
                let id: &'static str = operation.operation_id.clone()?.leak();
                Some(((method, path.to_owned()), id))
            })
            .collect()
    }

    /// What each operation takes in its query. Probes of health and the like may be asked in any way.
    pub(crate) fn queries(&self) -> Queries {
        self.operations()
            .filter(|(_, path, _)| path.contains("/v1/"))
            .map(|(method, path, operation)| {
                let of_query = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
                    RefOr::T(one) if one.parameter_in == ParameterIn::Query => Some(one.name.clone()),
                    _ => None,
                });
                let accepted = Accepted { parameters: of_query.collect(), open: operation.security.is_none() };
                ((method, path.to_owned()), accepted)
            })
            .collect()
    }
}

fn of_item(item: &PathItem) -> Vec<(Method, &Operation)> {
    [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
    .collect()
}
