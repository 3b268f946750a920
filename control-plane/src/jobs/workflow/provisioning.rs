//! What the workflows of instances share: loading, sealed secrets, and the way from rows to specs and addresses.

use super::Environment;
use crate::{
    domain::node_spec::{self, BrokerIntent, InstanceIntent, NodeKeys},
    drivers::{DriverError, NodeRef},
    jobs::engine::{StepContext, StepError, Workflow, chain},
    kafka::{Cluster, KafkaError},
    nodes::NodeAddress,
    pki::{AuthorityKind, CertificateAuthority, PkiError},
    secrets::{Keyring, SecretError},
    store::{
        Connection, StoreError,
        provisioning::{self as rows, AuthorityRow, BrokerRow, InstanceRow},
    },
};
use broker_api::{
    ports,
    secret::Secret,
    spec::{NodeSpec, TlsIdentity},
};
use chrono::{DateTime, Utc};
use control_plane_api::{id::InstanceId, problem::ProblemCode};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
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

/// Names of secrets in `instance_secrets`. Values are JSON.
pub(super) mod secret {
    /// [`super::TlsIdentity`] shown to clients.
    pub(in super::super) const CLIENTS_TLS: &str = "clients-tls";
    /// [`super::TlsIdentity`] of the control plane towards the instance's nodes.
    pub(in super::super) const CONTROL_PLANE_TLS: &str = "control-plane-tls";
    /// Text.
    pub(in super::super) const DELEGATION_TOKEN_KEY: &str = "delegation-token-key";

    /// [`super::TlsIdentity`] of a node on INT and CTL.
    pub(in super::super) fn internal_tls(node_id: i32) -> String {
        format!("node-{node_id}-internal-tls")
    }

    /// [`super::TlsIdentity`] of a node's control API.
    pub(in super::super) fn control_tls(node_id: i32) -> String {
        format!("node-{node_id}-control-tls")
    }
}

fn secret_context(instance: InstanceId, name: &str) -> String {
    format!("instance_secrets:{instance}:{name}")
}

/// Seals and keeps a secret, unless there is one of this name: nodes may have it already.
pub(super) async fn put_secret<T: Serialize>(
    tx: &mut Connection,
    keyring: &Keyring,
    instance: &InstanceRow,
    name: &str,
    value: &T,
    now: DateTime<Utc>,
) -> Result<(), StepError> {
    let text = serde_json::to_vec(value).map_err(|error| {
        StepError::permanent(ProblemCode::Internal, "a secret of the instance could not be written", error.to_string())
    })?;
    let sealed = keyring.seal(&secret_context(instance.id, name), &text)?;
    Ok(rows::put_secret(tx, instance, name, &sealed, now).await?)
}

/// An instance's secrets, opened when asked for.
pub(crate) struct Secrets<'a> {
    keyring: &'a Keyring,
    instance: InstanceId,
    sealed: BTreeMap<String, Vec<u8>>,
}

impl<'a> Secrets<'a> {
    pub(crate) async fn load(
        tx: &mut Connection,
        keyring: &'a Keyring,
        instance: InstanceId,
    ) -> Result<Self, StoreError> {
        let sealed = rows::secrets(tx, instance).await?.into_iter().collect();
        Ok(Self { keyring, instance, sealed })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.sealed.contains_key(name)
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, SecretError> {
        let context = secret_context(self.instance, name);
        let missing = || SecretError::Open { context: context.clone() };
        let text = self.keyring.open(&context, self.sealed.get(name).ok_or_else(missing)?)?;
        serde_json::from_slice(&text).map_err(|_| missing())
    }
}

/// What is needed to reach the nodes of an instance, and to make them again.
#[derive(Debug, Clone)]
pub(crate) struct Provisioned {
    pub(crate) specs: Vec<NodeSpec>,
    pub(crate) identity: Arc<TlsIdentity>,
    pub(crate) public_ca_pem: String,
}

impl Provisioned {
    /// From rows of an instance whose brokers all have addresses and certificates.
    pub(crate) fn build(
        environment: &Environment,
        instance: &InstanceRow,
        brokers: &[BrokerRow],
        secrets: &Secrets<'_>,
    ) -> Result<Self, StepError> {
        let brokers: Vec<BrokerIntent> = brokers
            .iter()
            .map(|broker| {
                Ok(BrokerIntent {
                    node_id: broker.node_id,
                    zone: broker.zone.clone(),
                    directory_id: broker.directory_id.clone(),
                    address: address(broker)?,
                })
            })
            .collect::<Result<_, StepError>>()?;
        let intent = InstanceIntent {
            id: instance.id,
            generation: instance.generation,
            cluster_id: instance.cluster_id.clone(),
            kafka_version: instance.kafka_version.clone(),
            spec: instance.spec.clone(),
            storage_gb: instance.storage_gb,
        };
        let clients: TlsIdentity = secrets.get(secret::CLIENTS_TLS)?;
        let delegation_token_key: Secret = secrets.get(secret::DELEGATION_TOKEN_KEY)?;
        let specs = brokers
            .iter()
            .map(|broker| {
                let keys = NodeKeys {
                    internal: secrets.get(&secret::internal_tls(broker.node_id))?,
                    control: secrets.get(&secret::control_tls(broker.node_id))?,
                    clients: clients.clone(),
                    delegation_token_key: delegation_token_key.clone(),
                };
                Ok(node_spec::build(&intent, &brokers, broker, keys, environment.sizing))
            })
            .collect::<Result<_, StepError>>()?;
        let identity = Arc::new(secrets.get(secret::CONTROL_PLANE_TLS)?);
        Ok(Self { specs, identity, public_ca_pem: clients.ca_pem })
    }

    pub(crate) fn node(&self, spec: &NodeSpec) -> NodeAddress {
        NodeAddress { control: spec.gateway.control, identity: self.identity.clone() }
    }

    pub(crate) fn cluster(&self) -> Cluster {
        let at = |port| self.specs.iter().map(|spec| SocketAddr::new(spec.kafka.bind, port)).collect();
        Cluster {
            internal: at(ports::INTER_BROKER),
            sasl_ssl: at(ports::PRIVATE_SASL_SSL),
            identity: self.identity.clone(),
            public_ca_pem: self.public_ca_pem.clone(),
        }
    }
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
    Provisioned::build(context.environment, &instance, &brokers, &secrets)
}

pub(super) fn address(broker: &BrokerRow) -> Result<IpAddr, StepError> {
    broker.address.ok_or_else(|| {
        let inside = format!("broker {} has no address", broker.node_id);
        StepError::permanent(ProblemCode::Internal, "a broker of the instance has no address", inside)
    })
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
