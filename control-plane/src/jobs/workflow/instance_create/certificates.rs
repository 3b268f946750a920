//! Step `issue-certificates`.

use super::{Context, InstanceCreate};
use crate::{
    domain::client_paths,
    jobs::{
        engine::{Step, StepError},
        workflow::{
            certificate_change::{Origin, record},
            provisioning::{ensure_authority, load, put_secret},
        },
    },
    pki::{AuthorityKind, Purpose},
    provisioned::{Secrets, address, places, secret},
    store::{certificates, provisioning as rows},
};
use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use broker_api::secret::Secret;
use control_plane_api::{
    certificate::{CertificateReason, CertificateSource},
    id::CertificateId,
    problem::ProblemCode,
};
use ring::rand::{SecureRandom, SystemRandom};
use std::net::IpAddr;

/// The instance has an authority of its own, every node its leaves, and the clients' listeners theirs.
///
/// A repeat adds what is missing and changes nothing: nodes may run with what is there.
pub(super) struct IssueCertificates;

#[async_trait]
impl Step<InstanceCreate> for IssueCertificates {
    fn name(&self) -> &'static str {
        "issue-certificates"
    }

    fn title(&self) -> &'static str {
        "Issue certificates"
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let (id, keyring) = (context.params.instance_id, &context.environment.keyring);
        let now = context.clock().now();
        let (instance, brokers) = load(context, id).await?;
        let names = client_paths::names(&instance.access, &places(&brokers)?);
        let mut tx = context.transaction().await?;
        let platform = ensure_authority(&mut tx, keyring, AuthorityKind::Platform, None, now).await?;
        let internal = ensure_authority(&mut tx, keyring, AuthorityKind::Internal, Some(id), now).await?;
        let known = Secrets::load(&mut tx, keyring, id).await?;

        let mut leaves = vec![
            (secret::CLIENTS_TLS.to_owned(), &platform, Purpose::ClientListener, names.as_slice()),
            (secret::CONTROL_PLANE_TLS.to_owned(), &internal, Purpose::ControlPlane, &[]),
        ];
        let addresses: Vec<IpAddr> = brokers.iter().map(address).collect::<Result<_, _>>()?;
        let own: Vec<[String; 1]> = addresses.iter().map(|address| [address.to_string()]).collect();
        for (broker, name) in brokers.iter().zip(&own) {
            leaves.push((secret::internal_tls(broker.node_id), &internal, Purpose::Node, name));
            leaves.push((secret::control_tls(broker.node_id), &internal, Purpose::ControlApi, name));
        }
        for (name, authority, purpose, names) in leaves {
            if !known.has(&name) {
                let leaf = authority.issue(purpose, names, now)?;
                put_secret(&mut tx, keyring, &instance, &name, &leaf, rows::Existing::Stays, now).await?;
                if name == secret::CLIENTS_TLS {
                    let origin = Origin {
                        id: CertificateId::generate(),
                        source: CertificateSource::Platform,
                        reason: CertificateReason::Created,
                        created_by: Some(&context.job.actor),
                        job: Some(context.job.id),
                        at: now,
                    };
                    certificates::insert(&mut tx, instance.org, id, &record(&leaf, origin)?).await?;
                }
            }
        }
        if !known.has(secret::DELEGATION_TOKEN_KEY) {
            let mut keys = vec![secret::DELEGATION_TOKEN_KEY];
            // Brokers that share a machine replicate without TLS (docs/adr/0003), from the first boot or never: an instance that was made
            // without has the other key.
            if addresses.iter().all(IpAddr::is_loopback) && !context.environment.site.replication_tls {
                keys.push(secret::REPLICATION_PASSWORD);
            }
            for name in keys {
                put_secret(&mut tx, keyring, &instance, name, &random_key()?, rows::Existing::Stays, now).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    async fn undo(&self, context: &Context<'_>) -> Result<(), StepError> {
        let mut tx = context.transaction().await?;
        rows::release_secrets(&mut tx, context.params.instance_id).await?;
        Ok(tx.commit().await?)
    }
}

/// 32 random bytes as text.
fn random_key() -> Result<Secret, StepError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| {
        StepError::transient(ProblemCode::Internal, "the system gave no random bytes", "getrandom failed")
    })?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}
