//! Asking an instance's Kafka while a request waits.

use crate::{
    app::{App, AppError, Refusal, instances},
    domain::actor::ProjectScope,
    kafka::{Cluster, KafkaError},
    provisioned,
    store::instances::InstanceRecord,
};
use control_plane_api::{id::InstanceId, instance::InstanceAction, problem::ProblemCode};

/// Seconds after which asking Kafka again is worth it.
const ASK_AGAIN: u64 = 5;

/// The instance, if its Kafka can be asked now.
pub(super) async fn serving(app: &App, scope: &ProjectScope, instance: &str) -> Result<InstanceRecord, AppError> {
    let mut tx = app.db.tenant(scope).await?;
    let record = instances::find(&mut tx, instance).await?;
    instances::allow(&record, InstanceAction::Use)?;
    Ok(record)
}

/// Where the instance's Kafka is. No transaction is open when this returns: Kafka may take its time.
pub(super) async fn cluster(app: &App, instance: InstanceId) -> Result<Cluster, AppError> {
    let mut tx = app.db.system().await?;
    Ok(provisioned::cluster(&mut tx, &app.keyring, instance).await?)
}

/// Kafka's failure as an answer.
pub(super) fn failed(instance: InstanceId, error: KafkaError) -> AppError {
    match error {
        KafkaError::Transient { .. } => {
            tracing::warn!(%instance, %error, "an instance's Kafka does not answer");
            Refusal::new(ProblemCode::KafkaUnavailable).retry_after(ASK_AGAIN).into()
        }
        KafkaError::Permanent { .. } => AppError::Internal(error.to_string()),
    }
}

/// Refuses while a job changes the instance, or its state does not allow it.
pub(super) fn free(record: &InstanceRecord) -> Result<(), AppError> {
    if let Some(job) = record.active_job {
        return Err(Refusal::new(ProblemCode::JobActive).with("job_id", job.to_string()).into());
    }
    Ok(instances::allow(record, InstanceAction::Use)?)
}
