//! Organisations: the tenants.

use crate::store::{StoreError, SystemTx, TenantTx};
use control_plane_api::id::OrganisationId;
use uuid::Uuid;

/// Name of the transaction's organisation.
pub async fn name(tx: &mut TenantTx) -> Result<Option<String>, StoreError> {
    let org = tx.org();
    Ok(sqlx::query_scalar("select name from organisations where org_id = $1")
        .bind(org)
        .fetch_optional(&mut **tx)
        .await?)
}

pub async fn find_by_name(tx: &mut SystemTx, name: &str) -> Result<Option<OrganisationId>, StoreError> {
    let found: Option<Uuid> = sqlx::query_scalar("select org_id from organisations where name = $1")
        .bind(name)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.map(OrganisationId::from_uuid))
}

pub async fn insert(tx: &mut SystemTx, id: OrganisationId, name: &str) -> Result<(), StoreError> {
    sqlx::query("insert into organisations (org_id, name) values ($1, $2)")
        .bind(id.uuid())
        .bind(name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// One transaction at a time makes organisations by name.
pub async fn lock_names(tx: &mut SystemTx) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('organisation-names', 0))").execute(&mut **tx).await?;
    Ok(())
}
