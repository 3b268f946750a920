//! Creations that failed: what remains of them is a record with the cause.

use crate::{
    app::{App, AppError, Write, audit::Entry, page::PageRequest},
    domain::{actor::ProjectScope, rights::Right},
    store::failed_creations::{self, FailedCreationRecord, Place},
};
use control_plane_api::{
    id::InstanceId,
    instance::{FailedCreation, Removed},
    page::{Page, PageQuery},
};

/// The newest failure first.
pub async fn list_failed_creations(
    app: &App,
    scope: &ProjectScope,
    query: &PageQuery,
) -> Result<Page<FailedCreation>, AppError> {
    scope.require(Right::InstanceRead)?;
    let request = PageRequest::<Place>::parse(query)?;
    let mut tx = app.db.tenant(scope).await?;
    let rows = failed_creations::list(&mut tx, request.after.as_ref(), request.fetch()).await?;
    let total = if request.count { Some(failed_creations::count(&mut tx).await?) } else { None };
    Ok(request.page(rows, |row| Place { failed_at: row.failed_at, id: row.id }, view, total))
}

/// Removes one record.
pub async fn delete_failed_creation(app: &App, scope: &ProjectScope, id: InstanceId) -> Result<(), AppError> {
    match remove(app, scope, Some(id)).await?.removed {
        0 => Err(AppError::not_found()),
        _ => Ok(()),
    }
}

/// Removes all records of the project.
pub async fn delete_failed_creations(app: &App, scope: &ProjectScope) -> Result<Removed, AppError> {
    remove(app, scope, None).await
}

async fn remove(app: &App, scope: &ProjectScope, id: Option<InstanceId>) -> Result<Removed, AppError> {
    scope.require(Right::InstanceDelete)?;
    let mut write = Write::start(app, &scope.actor, scope).await?;
    let removed = Removed { removed: failed_creations::delete(&mut write.tx, id).await? };
    if removed.removed == 0 {
        return Ok(removed);
    }
    let entry = match id {
        Some(id) => Entry::new("delete_failed_creation").on("instance", id),
        None => Entry::new("delete_failed_creations").detail(&removed),
    };
    Ok(write.commit(entry, removed).await?.value)
}

fn view(record: FailedCreationRecord) -> FailedCreation {
    FailedCreation {
        id: record.id,
        name: record.name,
        spec: record.spec,
        zones: record.zones,
        job_id: record.job,
        cause: record.cause,
        created_at: record.created_at,
        failed_at: record.failed_at,
    }
}
