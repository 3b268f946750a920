//! `access-open`: ways in to a running instance are opened that need something first: addresses on the public network, or a
//! certificate that covers what brokers are called there. No broker restarts, and no connection ends.
//!
//! ```text
//! reserve-addresses   every broker has a public address, which nobody is told yet
//! cover-names         addresses are in use, and the platform's certificate covers every name   one transaction
//! bind-acls           when who decides what clients may do was changed too
//! tell-brokers        every gateway opens the ports
//! prove               a handshake by every TLS listener, and a broker's word for plaintext
//! release-addresses   a change that opens one way may have closed the last public one
//! ```
//! The request has written the change; a public path without addresses stays closed meanwhile. A job that cannot finish is
//! undone: the access is what it was before, the new addresses are given back. The certificate, which covers more than is
//! needed then, stays.

use super::{
    Environment,
    certificate_change::{Origin, adopt, record},
    provisioning::{
        bind_acls, ensure_authority, load, provisioned, push_specs, put_secret, release_unused_addresses,
        reserve_addresses,
    },
};
use crate::{
    domain::{
        certificate::DEFAULT_OVERLAP_HOURS,
        client_paths::{self, Network},
    },
    jobs::engine::{Limits, OnFailure, Step, StepContext, StepError, Workflow, chain},
    nodes::NodeError,
    pki::{self, AuthorityKind, Purpose},
    provisioned::{self, Provisioned, secret},
    store::{SystemTx, certificates, provisioning as rows},
};
use async_trait::async_trait;
use broker_api::spec::{Listener, NodeSpec};
use chrono::Duration as Span;
use control_plane_api::{
    access::Access,
    certificate::{CertificateReason, CertificateSource},
    id::{CertificateId, InstanceId},
    problem::ProblemCode,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// How long a broker may be away before the change is taken back: nobody uses what is not open yet.
const PATIENCE: Duration = Duration::from_secs(600);

fn limits() -> Limits {
    Limits { deadline: PATIENCE, ..Limits::default() }
}

#[derive(Debug)]
pub struct AccessOpen;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub instance_id: InstanceId,
    /// What the access was, and is again when the job fails: an [`Access`] as whoever began the job knew it, without defaults
    /// of who ends it.
    pub before: Value,
    /// Who decides what clients may do was changed.
    pub authorization: bool,
    /// Of the certificate that is issued when the present one covers too little.
    pub certificate_id: CertificateId,
}

type Context<'a> = StepContext<'a, AccessOpen>;

impl Workflow for AccessOpen {
    type Environment = Environment;
    type Params = Params;
    type Secrets = ();

    const KIND: &'static str = "access-open";
    const VERSION: i32 = 1;
    const TITLE: &'static str = "Open ways in";
    const ON_FAILURE: OnFailure = OnFailure::Undo;
    const CANCELLABLE: bool = true;
    const EXCLUSIVE: bool = false;

    fn steps() -> Vec<Box<dyn Step<Self>>> {
        vec![
            Box::new(Reserve),
            Box::new(CoverNames),
            Box::new(BindAcls),
            Box::new(TellBrokers),
            Box::new(Prove),
            Box::new(Release),
        ]
    }
}

struct Reserve;

#[async_trait]
impl Step<AccessOpen> for Reserve {
    fn name(&self) -> &'static str {
        "reserve-addresses"
    }

    fn title(&self) -> &'static str {
        "Reserve public addresses"
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let id = context.params.instance_id;
        let (instance, _) = load(context, id).await?;
        if instance.access.is_public() { reserve_addresses(context, id, Network::Public).await } else { Ok(()) }
    }

    /// Of all steps, since none of the others made anything that must go.
    async fn undo(&self, context: &Context<'_>) -> Result<(), StepError> {
        let Params { instance_id: id, before, .. } = context.params;
        let mut tx = context.transaction().await?;
        rows::restore_access(&mut tx, *id, before, context.clock().now()).await?;
        tx.commit().await?;
        match push_specs(context.environment, &provisioned(context, *id).await?).await {
            Ok(()) => release_unused_addresses(context, *id).await,
            // It may listen there still. The next change gives the addresses back, or the deletion.
            Err(StepError::Transient(cause)) => {
                tracing::warn!(instance.id = %id, cause = cause.internal, "a broker keeps its public address until it is heard");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

struct CoverNames;

#[async_trait]
impl Step<AccessOpen> for CoverNames {
    fn name(&self) -> &'static str {
        "cover-names"
    }

    fn title(&self) -> &'static str {
        "Cover the new addresses by the certificate"
    }

    async fn run(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }

    async fn commit(&self, tx: &mut SystemTx, context: &Context<'_>) -> Result<(), StepError> {
        let (id, keyring, now) = (context.params.instance_id, &context.environment.keyring, context.clock().now());
        rows::use_public_addresses(tx, id, now).await?;
        adopt(tx, keyring, id).await?;
        let (Some((instance, brokers)), Some(served)) =
            (rows::load(tx, id).await?, certificates::served(tx, id).await?)
        else {
            return Err(StepError::permanent(ProblemCode::NotFound, "the instance is gone", id.to_string()));
        };
        let names = client_paths::names(&instance.access, &provisioned::places(&brokers)?);
        // An own certificate is its tenant's to replace: the plan told so.
        if served.source == CertificateSource::Own || pki::uncovered(&served.certificate_pem, &names)?.is_empty() {
            return Ok(());
        }
        let platform = ensure_authority(tx, keyring, AuthorityKind::Platform, None, now).await?;
        let next = platform.issue(Purpose::ClientListener, &names, now)?;
        put_secret(tx, keyring, &instance, secret::CLIENTS_TLS, &next, rows::Existing::Replaced, now).await?;
        let origin = Origin {
            id: context.params.certificate_id,
            source: CertificateSource::Platform,
            reason: CertificateReason::Addresses,
            created_by: Some(context.job.actor.as_str()).filter(|actor| !actor.is_empty()),
            job: Some(context.job.id),
            at: now,
        };
        let trusted_until = now + Span::hours(DEFAULT_OVERLAP_HOURS.into());
        Ok(certificates::replace(tx, instance.org, id, &record(&next, origin)?, trusted_until).await?)
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

struct BindAcls;

#[async_trait]
impl Step<AccessOpen> for BindAcls {
    fn name(&self) -> &'static str {
        "bind-acls"
    }

    fn title(&self) -> &'static str {
        "Write who may do what"
    }

    fn limits(&self) -> Limits {
        limits()
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        if !context.params.authorization {
            return Ok(());
        }
        let provisioned = provisioned(context, context.params.instance_id).await?;
        bind_acls(context.environment, &provisioned, &provisioned.access).await
    }

    async fn undo(&self, context: &Context<'_>) -> Result<(), StepError> {
        if !context.params.authorization {
            return Ok(());
        }
        let provisioned = provisioned(context, context.params.instance_id).await?;
        let before = Access::deserialize(&context.params.before).map_err(|error| {
            StepError::permanent(ProblemCode::Internal, "the access before the change cannot be read", chain(&error))
        })?;
        bind_acls(context.environment, &provisioned, &before).await
    }
}

struct TellBrokers;

#[async_trait]
impl Step<AccessOpen> for TellBrokers {
    fn name(&self) -> &'static str {
        "tell-brokers"
    }

    fn title(&self) -> &'static str {
        "Tell brokers"
    }

    fn limits(&self) -> Limits {
        limits()
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let provisioned = provisioned(context, context.params.instance_id).await?;
        push_specs(context.environment, &provisioned).await
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

struct Prove;

#[async_trait]
impl Step<AccessOpen> for Prove {
    fn name(&self) -> &'static str {
        "prove"
    }

    fn title(&self) -> &'static str {
        "See every broker open its ports"
    }

    fn limits(&self) -> Limits {
        limits()
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let provisioned = provisioned(context, context.params.instance_id).await?;
        let proofs = provisioned.specs.iter().map(|spec| prove(context.environment, &provisioned, spec));
        for outcome in futures::future::join_all(proofs).await {
            outcome?;
        }
        Ok(())
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

/// Every path that the broker is to serve is open, and a client that verifies it goes on.
async fn prove(environment: &Environment, provisioned: &Provisioned, spec: &NodeSpec) -> Result<(), StepError> {
    let node = spec.identity.node_id;
    let status = environment.platform.nodes.status(&provisioned.node(spec)).await;
    let status = status.map_err(|error| not_yet(node, "it does not answer", chain(&error)))?;
    for listener in &spec.gateway.listeners {
        let path = listener.path.as_str();
        if !status.gateway.listening.iter().any(|open| open == path) {
            return Err(not_yet(node, &format!("{path} is not open yet"), "it is not in the node's status"));
        }
        if listener.path.is_tls() {
            shake_hands(environment, listener, spec).await?;
        }
    }
    Ok(())
}

async fn shake_hands(environment: &Environment, listener: &Listener, spec: &NodeSpec) -> Result<(), StepError> {
    let (node, tls) = (spec.identity.node_id, &spec.gateway.server_tls);
    let own = listener.advertised.iter().find(|address| address.node_id == node);
    let name = own.map_or_else(|| listener.bind.ip().to_string(), |address| address.host.clone());
    // What a tenant's own certificate leaves uncovered, no client that verifies would take.
    if !pki::uncovered(&tls.certificate_pem, std::slice::from_ref(&name))?.is_empty() {
        return Ok(());
    }
    match environment.platform.nodes.shown_certificate(listener.bind, &name, &tls.ca_pem).await {
        // Address rules of the tenant may keep us out; the node has said that it listens.
        Ok(_) | Err(NodeError::Unreachable { .. }) => Ok(()),
        Err(error) => {
            let what = format!("a client could not verify it on {}", listener.path.as_str());
            Err(not_yet(node, &what, chain(&error)))
        }
    }
}

fn not_yet(node: i32, what: &str, inside: impl AsRef<str>) -> StepError {
    StepError::transient(ProblemCode::BrokerNotReady, format!("broker {node}: {what}"), inside)
}

struct Release;

#[async_trait]
impl Step<AccessOpen> for Release {
    fn name(&self) -> &'static str {
        "release-addresses"
    }

    fn title(&self) -> &'static str {
        "Give back unused addresses"
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        release_unused_addresses(context, context.params.instance_id).await
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}
