//! Kafka users of an instance: shown, made, disabled, enabled, given another password, deleted.
//!
//! Each change is a row at once, and a job that tells Kafka and every broker. One change at a time: an instance has one
//! active job.

mod change;

pub(crate) use change::generate_password;
pub use change::{
    Wanted, change_kafka_user, create_kafka_user, delete_kafka_user, plan_kafka_user, reset_kafka_user_password,
    update_kafka_user,
};

use crate::{
    app::{App, AppError, etag, instances, page::PageRequest},
    domain::{actor::ProjectScope, rights::Right},
    store::kafka_users::{self as users, KafkaUserRecord},
};
use control_plane_api::{
    kafka_user::KafkaUser,
    page::{Page, PageQuery},
};

/// By name.
pub async fn list_kafka_users(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    query: &PageQuery,
) -> Result<Page<KafkaUser>, AppError> {
    scope.require(Right::KafkaUserRead)?;
    let request = PageRequest::<String>::parse(query)?;
    let mut tx = app.db.tenant(scope).await?;
    let instance = instances::find(&mut tx, instance).await?.id;
    let rows = users::list(&mut tx, instance, request.after.as_deref(), request.fetch()).await?;
    let total = if request.count { Some(users::count(&mut tx, instance).await?) } else { None };
    Ok(request.page(rows, |row| row.name.clone(), view, total))
}

pub async fn get_kafka_user(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    name: &str,
) -> Result<KafkaUser, AppError> {
    scope.require(Right::KafkaUserRead)?;
    let mut tx = app.db.tenant(scope).await?;
    let instance = instances::find(&mut tx, instance).await?.id;
    users::find(&mut tx, instance, name).await?.map(view).ok_or_else(AppError::not_found)
}

fn view(record: KafkaUserRecord) -> KafkaUser {
    KafkaUser {
        name: record.name,
        disabled: record.disabled,
        created_by: record.created_by,
        created_at: record.created_at,
        updated_at: record.updated_at,
        etag: etag(record.revision),
    }
}
