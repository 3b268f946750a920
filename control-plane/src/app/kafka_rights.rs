//! What a Kafka user may do, in plain words: shown, granted, revoked. Each word is a set of ACL bindings (`domain`).

use crate::{
    app::{
        App, AppError, Refusal,
        acls::{self, Change, Wanted},
        kafka,
    },
    domain::{acl, actor::ProjectScope, kafka_rights as words, rights::Right},
    store::{instances::InstanceRecord, kafka_users as users},
};
use control_plane_api::{
    acl::AclFilter,
    kafka_rights::{GrantKafkaRights, KafkaRights, RevokeKafkaRights},
    problem::FieldError,
};

pub async fn get_kafka_rights(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    user: &str,
) -> Result<KafkaRights, AppError> {
    scope.require(Right::KafkaUserRead)?;
    let record = of_user(app, scope, instance, user).await?;
    let bindings = acls::bindings(app, record.id).await?;
    Ok(words::said(user, &bindings, !record.access.is_open_to_users()))
}

/// What the user is to have beside what it has.
pub async fn grant_kafka_rights(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    user: &str,
    grant: &GrantKafkaRights,
) -> Result<Wanted, AppError> {
    scope.require(Right::KafkaUserWrite)?;
    of_user(app, scope, instance, user).await?;
    let bindings = words::granted(user, grant).map_err(Refusal::invalid)?;
    Ok(Wanted { operation: "grant_kafka_rights", change: Change::Create(bindings) })
}

/// What the user is to lose.
pub async fn revoke_kafka_rights(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    user: &str,
    revoke: &RevokeKafkaRights,
) -> Result<Wanted, AppError> {
    scope.require(Right::KafkaUserWrite)?;
    of_user(app, scope, instance, user).await?;
    let operation = "revoke_kafka_rights";
    if !revoke.all {
        let bindings = words::revoked(user, revoke).map_err(Refusal::invalid)?;
        return Ok(Wanted { operation, change: Change::Take(bindings) });
    }
    let RevokeKafkaRights { topic: None, rights: None, group: None, transactional_id: None, .. } = revoke else {
        let detail = "everything is meant by `all`: name nothing beside it";
        return Err(Refusal::invalid(vec![FieldError::new("all", "all-alone", detail)]).into());
    };
    let filter = AclFilter { principal: Some(acl::principal(user)), ..AclFilter::default() };
    Ok(Wanted { operation, change: Change::Delete(filter) })
}

/// The instance, if it has this user and its Kafka can be asked now.
async fn of_user(app: &App, scope: &ProjectScope, instance: &str, user: &str) -> Result<InstanceRecord, AppError> {
    let record = kafka::serving(app, scope, instance).await?;
    let mut tx = app.db.tenant(scope).await?;
    users::find(&mut tx, record.id, user).await?.map(|_| record).ok_or_else(AppError::not_found)
}
