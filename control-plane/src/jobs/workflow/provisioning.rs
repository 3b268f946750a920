//! What the steps of workflows about instances share: loading, sealing, authorities, removal, and errors of the outside.

use super::Environment;
use crate::{
    domain::{certificate, client_paths::Network},
    drivers::{DriverError, NodeRef},
    jobs::engine::{StepContext, StepError, Workflow, chain},
    kafka::KafkaError,
    nodes::NodeError,
    pki::{AuthorityKind, CertificateAuthority, PkiError},
    provisioned::{Provisioned, ProvisioningError, Secrets, secret_context},
    secrets::{Keyring, SecretError},
    store::{
        Connection, certificates,
        provisioning::{self as rows, AuthorityRow, BrokerRow, Existing, InstanceRow},
    },
};
use broker_api::{secret::Secret, spec::NodeSpec};
use chrono::{DateTime, Utc};
use control_plane_api::{access::Access, id::InstanceId, problem::ProblemCode};
use serde::Serialize;
use uuid::Uuid;

impl From<DriverError> for StepError {
    fn from(error: DriverError) -> Self {
        let inside = chain(&error);
        match error {
            DriverError::Transient { reason, .. } => Self::transient(ProblemCode::Internal, reason, inside),
            DriverError::Permanent { reason, .. } => Self::permanent(ProblemCode::Internal, reason, inside),
        }
    }
}

impl From<ProvisioningError> for StepError {
    fn from(error: ProvisioningError) -> Self {
        Self::permanent(ProblemCode::Internal, "the instance cannot be read", chain(&error))
    }
}

impl From<SecretError> for StepError {
    fn from(error: SecretError) -> Self {
        Self::transient(ProblemCode::Internal, "a secret of the instance could not be sealed or opened", chain(&error))
    }
}

impl From<PkiError> for StepError {
    fn from(error: PkiError) -> Self {
        Self::permanent(ProblemCode::Internal, "a certificate could not be issued", chain(&error))
    }
}

/// A fault of Kafka under the problem code of the step.
pub(super) fn kafka_error(code: ProblemCode, error: &KafkaError) -> StepError {
    let text = error.to_string();
    match error {
        KafkaError::Transient { .. } => StepError::transient(code, text.clone(), text),
        KafkaError::Permanent { .. } => StepError::permanent(code, text.clone(), text),
    }
}

/// Loads the instance, which must be there while a job of its own runs.
pub(super) async fn load<W: Workflow>(
    context: &StepContext<'_, W>,
    id: InstanceId,
) -> Result<(InstanceRow, Vec<BrokerRow>), StepError> {
    let mut tx = context.transaction().await?;
    let found = rows::load(&mut tx, id).await?;
    tx.commit().await?;
    found.ok_or_else(|| {
        StepError::permanent(ProblemCode::NotFound, "the instance is gone", format!("{id} has a job but no row"))
    })
}

/// Seals and keeps a secret.
pub(super) async fn put_secret<T: Serialize>(
    tx: &mut Connection,
    keyring: &Keyring,
    instance: &InstanceRow,
    name: &str,
    value: &T,
    existing: Existing,
    now: DateTime<Utc>,
) -> Result<(), StepError> {
    let text = serde_json::to_vec(value).map_err(|error| {
        StepError::permanent(ProblemCode::Internal, "a secret of the instance could not be written", error.to_string())
    })?;
    let sealed = keyring.seal(&secret_context(instance.id, name), &text)?;
    Ok(rows::put_secret(tx, instance, name, &sealed, existing, now).await?)
}

/// The instance with everything that its nodes need.
pub(super) async fn provisioned<W: Workflow<Environment = Environment>>(
    context: &StepContext<'_, W>,
    id: InstanceId,
) -> Result<Provisioned, StepError> {
    let (instance, brokers) = load(context, id).await?;
    let mut tx = context.transaction().await?;
    let secrets = Secrets::load(&mut tx, &context.environment.keyring, id).await?;
    tx.commit().await?;
    Ok(Provisioned::build(&context.environment.site, &instance, &brokers, &secrets)?)
}

/// Other jobs choose at the same time; whoever writes first keeps the address.
const ROUNDS: u32 = 10;

/// Every broker has an address on the network.
pub(super) async fn reserve_addresses<W: Workflow<Environment = Environment>>(
    context: &StepContext<'_, W>,
    id: InstanceId,
    network: Network,
) -> Result<(), StepError> {
    for _ in 0..ROUNDS {
        let (instance, brokers) = load(context, id).await?;
        let mut tx = context.transaction().await?;
        let reserved = rows::reserved(&mut tx, id, network).await?;
        let taken = rows::taken_addresses(&mut tx).await?;
        tx.commit().await?;
        let without: Vec<NodeRef> = brokers
            .iter()
            .filter(|broker| !reserved.contains(&broker.node_id))
            .map(|broker| NodeRef { instance: id, node_id: broker.node_id })
            .collect();
        if without.is_empty() {
            return Ok(());
        }
        let chosen = context.environment.platform.driver.choose_addresses(network, &without, &taken).await?;
        if chosen.len() != without.len() {
            let inside = format!("the driver chose {} addresses for {} nodes", chosen.len(), without.len());
            return Err(StepError::permanent(ProblemCode::Internal, "addresses could not be chosen", inside));
        }
        let mut tx = context.transaction().await?;
        for (node, address) in without.into_iter().zip(chosen) {
            // One that is lost to another instance is chosen anew in the next round.
            rows::take_address(&mut tx, &instance, node.node_id, network, address, context.clock().now()).await?;
        }
        tx.commit().await?;
    }
    let inside = format!("lost the race for an address {ROUNDS} times");
    Err(StepError::transient(ProblemCode::Internal, "addresses are in great demand", inside))
}

/// Gives the public addresses back that no path of the instance uses. Its nodes have been told so.
pub(super) async fn release_unused_addresses<W: Workflow<Environment = Environment>>(
    context: &StepContext<'_, W>,
    id: InstanceId,
) -> Result<(), StepError> {
    let (instance, brokers) = load(context, id).await?;
    if instance.access.is_public() {
        return Ok(());
    }
    for broker in &brokers {
        let node = NodeRef { instance: id, node_id: broker.node_id };
        context.environment.platform.driver.release_public_address(node).await?;
    }
    let mut tx = context.transaction().await?;
    let now = context.clock().now();
    if rows::release_public_addresses(&mut tx, id, now).await? {
        certificates::renew_by(&mut tx, id, certificate::narrow_at(now)).await?;
    }
    Ok(tx.commit().await?)
}

/// The platform's bindings in Kafka are those of the access.
pub(super) async fn bind_acls(
    environment: &Environment,
    provisioned: &Provisioned,
    access: &Access,
) -> Result<(), StepError> {
    let bound = environment.platform.kafka.bind_platform_acls(&provisioned.cluster(), access).await;
    bound.map_err(|error| kafka_error(ProblemCode::BrokerNotReady, &error))
}

/// Makes every node of the instance that is not there, all at once, and all to their end: what one failure leaves
/// half-made, an undo must find.
pub(super) async fn ensure_nodes(environment: &Environment, provisioned: &Provisioned) -> Result<(), StepError> {
    let starts = provisioned.specs.iter().map(|spec| environment.platform.driver.ensure_node(spec));
    for outcome in futures::future::join_all(starts).await {
        outcome?;
    }
    Ok(())
}

/// Tells every node what holds now, all at once. A node that knows of a later change has taken this one with it.
pub(super) async fn push_specs(environment: &Environment, provisioned: &Provisioned) -> Result<(), StepError> {
    let pushes = provisioned.specs.iter().map(|spec| push_spec(environment, provisioned, spec));
    for outcome in futures::future::join_all(pushes).await {
        outcome?;
    }
    Ok(())
}

/// Tells one node what holds now.
pub(super) async fn push_spec(
    environment: &Environment,
    provisioned: &Provisioned,
    spec: &NodeSpec,
) -> Result<(), StepError> {
    let node = spec.identity.node_id;
    match environment.platform.nodes.push_spec(&provisioned.node(spec), spec).await {
        Ok(_) | Err(NodeError::Stale { .. }) => Ok(()),
        Err(error @ NodeError::Unreachable { .. }) => {
            let detail = format!("broker {node} does not answer; it is told when it is back");
            Err(StepError::transient(ProblemCode::BrokerNotReady, detail, chain(&error)))
        }
        Err(error @ NodeError::Outdated { .. }) => {
            let detail = format!("broker {node} runs another release; it is told when it has been renewed");
            Err(StepError::transient(ProblemCode::BrokerNotReady, detail, chain(&error)))
        }
        Err(error @ NodeError::Refused { .. }) => {
            let detail = format!("broker {node} refused the change");
            Err(StepError::permanent(ProblemCode::Internal, detail, chain(&error)))
        }
    }
}

/// For undos: tells the nodes that answer; the loop that watches them tells the others when they are back.
pub(super) async fn push_what_answers(environment: &Environment, provisioned: &Provisioned) -> Result<(), StepError> {
    let pushes = provisioned.specs.iter().map(|spec| push_spec(environment, provisioned, spec));
    for outcome in futures::future::join_all(pushes).await {
        match outcome {
            Err(StepError::Transient(cause)) => {
                tracing::warn!(cause = cause.internal, "a node was not told what an undo came to");
            }
            other => other?,
        }
    }
    Ok(())
}

/// Removes every node of the instance, all at once.
pub(super) async fn remove_nodes(
    environment: &Environment,
    instance: InstanceId,
    brokers: &[BrokerRow],
) -> Result<(), StepError> {
    let removals = brokers
        .iter()
        .map(|broker| environment.platform.driver.remove_node(NodeRef { instance, node_id: broker.node_id }));
    for outcome in futures::future::join_all(removals).await {
        outcome?;
    }
    Ok(())
}

/// The authority of a kind, made when there is none: `instance` is `None` for the platform's own.
pub(super) async fn ensure_authority(
    tx: &mut Connection,
    keyring: &Keyring,
    kind: AuthorityKind,
    instance: Option<InstanceId>,
    now: DateTime<Utc>,
) -> Result<CertificateAuthority, StepError> {
    let owner = instance.map_or_else(|| "platform".to_owned(), |instance| instance.to_string());
    let place = format!("certificate_authorities:{}:{owner}", kind.as_str());
    if rows::authority(tx, kind.as_str(), instance).await?.is_none() {
        let name = match instance {
            Some(instance) => format!("Sluice internal CA of {instance}"),
            None => "Sluice platform CA".to_owned(),
        };
        let made = CertificateAuthority::create(kind, &name, now)?;
        let row = AuthorityRow {
            id: Uuid::now_v7(),
            certificate_pem: made.certificate_pem().to_owned(),
            private_key_sealed: keyring.seal(&place, made.key_pem().expose().as_bytes())?,
        };
        rows::put_authority(tx, kind.as_str(), instance, &row, now).await?;
    }
    // Read back: another replica may have been faster.
    let row = rows::authority(tx, kind.as_str(), instance).await?.ok_or_else(|| {
        StepError::transient(ProblemCode::Internal, "the certificate authority is not there", place.clone())
    })?;
    let key = keyring.open(&place, &row.private_key_sealed)?;
    let key = String::from_utf8(key).map_err(|_| SecretError::Open { context: place })?;
    Ok(CertificateAuthority::from_pem(&row.certificate_pem, &Secret::new(key))?)
}
