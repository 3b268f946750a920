//! Prices that were offered.

use crate::store::{StoreError, TenantTx};
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::QuoteId,
    quote::{CreateQuote, Quote},
};
use sqlx::types::Json;

/// A quote as it was answered.
#[derive(Debug, Clone)]
pub struct QuoteRecord {
    pub answer: Quote,
    pub valid_until: DateTime<Utc>,
}

pub async fn insert(tx: &mut TenantTx, request: &CreateQuote, answer: &Quote) -> Result<(), StoreError> {
    let (org, project) = (tx.org(), tx.project());
    sqlx::query(
        "insert into quotes (id, org_id, project_id, request, answer, valid_until, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(answer.id.uuid())
    .bind(org)
    .bind(project)
    .bind(Json(request))
    .bind(Json(answer))
    .bind(answer.valid_until)
    .bind(answer.created_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A quote of the project, expired or not.
pub async fn find(tx: &mut TenantTx, id: QuoteId) -> Result<Option<QuoteRecord>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let found: Option<(Json<Quote>, DateTime<Utc>)> =
        sqlx::query_as("select answer, valid_until from quotes where org_id = $1 and project_id = $2 and id = $3")
            .bind(org)
            .bind(project)
            .bind(id.uuid())
            .fetch_optional(&mut **tx)
            .await?;
    Ok(found.map(|(answer, valid_until)| QuoteRecord { answer: answer.0, valid_until }))
}
