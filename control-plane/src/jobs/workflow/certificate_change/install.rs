//! Step `install`: the new certificate is the one that nodes are told, and the old one can be put back.

use super::{CertificateChange, Context, Origin, adopt, record};
use crate::{
    domain::client_paths,
    jobs::{
        engine::{Step, StepError},
        workflow::provisioning::{ensure_authority, provisioned, push_what_answers, put_secret},
    },
    pki::{AuthorityKind, Purpose},
    provisioned::{self, Secrets, secret},
    store::{
        SystemTx, certificates,
        provisioning::{self as rows, BrokerRow, InstanceRow},
    },
};
use async_trait::async_trait;
use broker_api::spec::TlsIdentity;
use chrono::Duration;
use control_plane_api::{certificate::CertificateSource, id::InstanceId, problem::ProblemCode};

pub(super) struct Install;

#[async_trait]
impl Step<CertificateChange> for Install {
    fn name(&self) -> &'static str {
        "install"
    }

    fn title(&self) -> &'static str {
        "Install the new certificate"
    }

    async fn run(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }

    async fn commit(&self, tx: &mut SystemTx, context: &Context<'_>) -> Result<(), StepError> {
        let (keyring, now) = (&context.environment.keyring, context.clock().now());
        let (instance, brokers) = find(tx, context.params.instance_id).await?;
        adopt(tx, keyring, instance.id).await?;
        let before: TlsIdentity = Secrets::load(tx, keyring, instance.id).await?.get(secret::CLIENTS_TLS)?;
        let (source, next) = match &context.secrets.own {
            Some(own) => (CertificateSource::Own, own.clone()),
            None => {
                let platform = ensure_authority(tx, keyring, AuthorityKind::Platform, None, now).await?;
                let names = client_paths::names(&instance.access, &provisioned::places(&brokers)?);
                (CertificateSource::Platform, platform.issue(Purpose::ClientListener, &names, now)?)
            }
        };
        put_secret(tx, keyring, &instance, secret::CLIENTS_TLS_BEFORE, &before, rows::Existing::Replaced, now).await?;
        put_secret(tx, keyring, &instance, secret::CLIENTS_TLS, &next, rows::Existing::Replaced, now).await?;
        let origin = Origin {
            id: context.params.certificate_id,
            source,
            reason: context.params.reason,
            created_by: Some(context.job.actor.as_str()).filter(|actor| !actor.is_empty()),
            job: Some(context.job.id),
            at: now,
        };
        let trusted_until = now + Duration::hours(context.params.overlap_hours.into());
        let row = record(&next, origin)?;
        Ok(certificates::replace(tx, instance.org, instance.id, &row, trusted_until).await?)
    }

    async fn undo(&self, context: &Context<'_>) -> Result<(), StepError> {
        let (keyring, now) = (&context.environment.keyring, context.clock().now());
        let mut tx = context.transaction().await?;
        let (instance, _) = find(&mut tx, context.params.instance_id).await?;
        let secrets = Secrets::load(&mut tx, keyring, instance.id).await?;
        if secrets.has(secret::CLIENTS_TLS_BEFORE) {
            let before: TlsIdentity = secrets.get(secret::CLIENTS_TLS_BEFORE)?;
            put_secret(&mut tx, keyring, &instance, secret::CLIENTS_TLS, &before, rows::Existing::Replaced, now)
                .await?;
            rows::forget_secret(&mut tx, instance.id, secret::CLIENTS_TLS_BEFORE).await?;
            certificates::restore(&mut tx, instance.id, context.params.certificate_id, now).await?;
        }
        tx.commit().await?;
        let provisioned = provisioned(context, instance.id).await?;
        push_what_answers(context.environment, &provisioned).await
    }
}

async fn find(tx: &mut SystemTx, id: InstanceId) -> Result<(InstanceRow, Vec<BrokerRow>), StepError> {
    rows::load(tx, id).await?.ok_or_else(|| {
        StepError::permanent(ProblemCode::NotFound, "the instance is gone", format!("{id} has a job but no row"))
    })
}
