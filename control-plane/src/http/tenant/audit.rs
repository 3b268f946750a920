//! `/v1/audit-events` and `/v1/projects/{project}/audit-events`.

use crate::{
    app::{
        App, AppError,
        audit::{self, Trail},
    },
    domain::actor::{Actor, ProjectScope},
    http::{ApiRouter, HttpError, ValidQuery},
};
use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use control_plane_api::{
    audit::{AuditEvent, AuditFilter},
    page::{Page, PageQuery},
    problem::Problem,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(list_audit_events)).routes(routes!(list_project_audit_events))
}

/// List audit events of the organisation
///
/// Every change and sign-in, newest first. With `Accept: application/x-ndjson` or `text/csv` all that match, as a file.
#[utoipa::path(get, path = "/v1/audit-events", tag = "audit", params(AuditFilter, PageQuery), security(("bearer" = [])),
    responses((status = 200, body = Page<AuditEvent>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_audit_events(
    State(app): State<Arc<App>>,
    actor: Actor,
    ValidQuery(filter): ValidQuery<AuditFilter>,
    ValidQuery(query): ValidQuery<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    answer(app, Trail::Organisation(actor), filter, &query, &headers).await
}

/// List audit events of a project
///
/// As `/v1/audit-events`, of what happened in the project.
#[utoipa::path(get, path = "/v1/projects/{project}/audit-events", tag = "audit", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), AuditFilter, PageQuery),
    responses((status = 200, body = Page<AuditEvent>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_project_audit_events(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ValidQuery(filter): ValidQuery<AuditFilter>,
    ValidQuery(query): ValidQuery<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    answer(app, Trail::Project(scope), filter, &query, &headers).await
}

async fn answer(
    app: Arc<App>,
    trail: Trail,
    filter: AuditFilter,
    query: &PageQuery,
    headers: &HeaderMap,
) -> Result<Response, HttpError> {
    let wanted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (kind, head, line): (_, _, WriteLine) = match () {
        () if wanted.contains("application/x-ndjson") => ("application/x-ndjson", "", ndjson),
        () if wanted.contains("text/csv") => ("text/csv; charset=utf-8", CSV_HEAD, csv),
        () => return Ok(Json(audit::list_events(&app, &trail, filter, query).await?).into_response()),
    };
    let lines = audit::export_events(app, &trail, filter)?.map(move |event| {
        let text = line(&event?).map_err(|error| AppError::Internal(format!("audit event: {error}")))?;
        Ok::<_, AppError>(Bytes::from(text))
    });
    let body = stream::iter([Ok(Bytes::from_static(head.as_bytes()))]).chain(lines);
    let body = Body::from_stream(body.inspect_err(|error| {
        tracing::error!(error = error as &dyn std::error::Error, "export broke off");
    }));
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// How an event becomes a line of a file.
type WriteLine = fn(&AuditEvent) -> Result<String, serde_json::Error>;

fn ndjson(event: &AuditEvent) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string(event)? + "\n")
}

const CSV_HEAD: &str = "created_at,actor,action,result,problem_code,project_id,resource_type,resource_id,source_ip,user_agent,request_id,job_id,detail\r\n";

/// RFC 4180; what a spreadsheet would take for a formula is quoted with an apostrophe (OWASP CSV Injection).
fn csv(event: &AuditEvent) -> Result<String, serde_json::Error> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let fields = [
        event.created_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        event.actor.clone(),
        event.action.clone(),
        event.result.clone(),
        text(&event.problem_code),
        event.project_id.map(|id| id.to_string()).unwrap_or_default(),
        text(&event.resource_type),
        text(&event.resource_id),
        text(&event.source_ip),
        text(&event.user_agent),
        event.request_id.clone(),
        event.job_id.map(|id| id.to_string()).unwrap_or_default(),
        serde_json::to_string(&event.detail)?,
    ];
    Ok(fields.map(|field| quoted(&field)).join(",") + "\r\n")
}

fn quoted(field: &str) -> String {
    let guard = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !field.contains(['"', ',', '\n', '\r']) {
        return field.to_owned();
    }
    format!("\"{guard}{}\"", field.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_commas_quotes_or_formulas_are_quoted() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(quoted("=cmd()"), "\"'=cmd()\"");
    }
}
