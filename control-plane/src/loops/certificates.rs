//! Renews the platform's certificates before they end, and tells of tenants' own that end soon.
//!
//! A renewal is a job like a rotation: it shows in the history of the instance, and is taken back when it fails. What is told
//! goes to the certificate itself, to the log and to the metrics.

use super::{Keeper, LoopError};
use crate::{
    domain::certificate,
    jobs::{
        engine::{EnqueueError, NewJob, Resource, chain, enqueue},
        workflow::{CertificateChange, certificate_change as job},
    },
    store::{StoreError, certificates as rows},
};
use chrono::Duration;
use control_plane_api::{
    certificate::{CertificateReason, CertificateSource},
    id::{CertificateId, JobId},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

/// Renewals that one pass begins: they come due a batch at a time, and tenants' jobs go first.
const RENEWALS_A_PASS: i64 = 20;
/// Between attempts at an instance whose renewal failed.
const PATIENCE: Duration = Duration::hours(1);
/// Certificates of an earlier version that one pass records.
const RECORDS_A_PASS: i64 = 100;
/// Whose job a renewal is.
const ACTOR: &str = "sluice";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Source {
    Platform,
    Own,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySource {
    source: Source,
}

/// What operators see of certificates. Empty on a replica that does not run the loop.
#[derive(Debug, Clone, Default)]
pub struct CertificateMetrics {
    expiry: Family<BySource, Gauge>,
    expiring: Gauge,
}

impl CertificateMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "sluice_certificate_expiry_timestamp_seconds",
            "When the first served certificate of a source ends, seconds since 1970",
            self.expiry.clone(),
        );
        let expiring = "Own certificates that are served and end within 30 days, ended ones among them";
        registry.register("sluice_certificates_expiring", expiring, self.expiring.clone());
    }
}

#[derive(Debug)]
pub struct Certificates {
    metrics: CertificateMetrics,
}

impl Drop for Certificates {
    /// Another replica tells them from now on.
    fn drop(&mut self) {
        self.metrics.expiry.clear();
        self.metrics.expiring.set(0);
    }
}

impl Certificates {
    pub fn new(metrics: CertificateMetrics) -> Self {
        Self { metrics }
    }

    pub async fn pass(&mut self, keeper: &Keeper) -> Result<(), LoopError> {
        record_unrecorded(keeper).await?;
        renew(keeper).await?;
        self.tell(keeper).await
    }

    /// Once for each threshold: to the tenant by the certificate, to the operator by log and metrics.
    async fn tell(&self, keeper: &Keeper) -> Result<(), LoopError> {
        let now = keeper.clock.now();
        let mut tx = keeper.db.system().await?;
        let ending = rows::ending(&mut tx, certificate::notice_horizon(now)).await?;
        for row in &ending {
            if let Some(notice) = certificate::notice(row.not_after, &row.notices, now) {
                rows::add_notice(&mut tx, row.id, &notice).await?;
                tracing::warn!(
                    instance = %row.instance, name = row.name, certificate = %row.id, ends_at = %row.not_after,
                    days_left = certificate::days_left(row.not_after, now),
                    "a tenant's own certificate ends soon; the tenant must upload the next"
                );
            }
        }
        let first = rows::first_to_end(&mut tx).await?;
        tx.commit().await?;
        self.metrics.expiry.clear();
        for (source, at) in first {
            let source = match source {
                CertificateSource::Platform => Source::Platform,
                CertificateSource::Own => Source::Own,
            };
            self.metrics.expiry.get_or_create(&BySource { source }).set(at.timestamp());
        }
        self.metrics.expiring.set(i64::try_from(ending.len()).unwrap_or(i64::MAX));
        Ok(())
    }
}

async fn record_unrecorded(keeper: &Keeper) -> Result<(), LoopError> {
    let mut tx = keeper.db.system().await?;
    for instance in rows::unrecorded(&mut tx, RECORDS_A_PASS).await? {
        if let Err(error) = job::adopt(&mut tx, &keeper.keyring, instance).await {
            tracing::error!(%instance, cause = chain(&error), "the certificate of an instance cannot be read");
        }
    }
    Ok(tx.commit().await?)
}

/// Begins what is due. An instance that a job took over since is left for the next pass.
async fn renew(keeper: &Keeper) -> Result<(), LoopError> {
    let now = keeper.clock.now();
    let due = rows::due(&mut *keeper.db.system_connection().await?, now, now - PATIENCE, RENEWALS_A_PASS).await?;
    for row in due {
        let id = JobId::generate();
        let job = NewJob::<CertificateChange> {
            id,
            org: row.org,
            project: row.project,
            params: job::Params {
                instance_id: row.instance,
                certificate_id: CertificateId::generate(),
                reason: CertificateReason::Renewed,
                overlap_hours: certificate::DEFAULT_OVERLAP_HOURS,
            },
            secrets: job::Secrets { own: None },
            resource: Some(Resource { kind: "instance", id: row.instance.uuid(), name: row.name.clone() }),
            actor: ACTOR.to_owned(),
            request_id: id.to_string(),
            priority: -10,
            run_after: now,
        };
        let mut tx = keeper.db.system().await?;
        match enqueue(&mut tx, &keeper.keyring, &keeper.clock, job).await {
            Ok(job) => {
                tx.commit().await?;
                tracing::info!(instance = %row.instance, %job, "the certificate of an instance is renewed");
            }
            Err(EnqueueError::Store(StoreError::JobActive)) => {}
            Err(error) => tracing::error!(instance = %row.instance, cause = chain(&error), "cannot begin a renewal"),
        }
    }
    Ok(())
}
