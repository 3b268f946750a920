//! From rows to the outside: what is needed to make the nodes of an instance, and to talk to them.
//!
//! Opens an instance's sealed secrets, and builds its nodes' specs from them. Used by jobs, which make and remove nodes,
//! and by loops, which keep them. May use `domain`, `store` and `secrets`; does nothing by itself.

use crate::{
    domain::{
        client_paths::Place,
        node_spec::{self, BrokerIntent, InstanceIntent, NodeKeys, Site},
    },
    kafka::Cluster,
    nodes::NodeAddress,
    secrets::{Keyring, SecretError},
    store::{
        Connection, StoreError,
        provisioning::{self as rows, BrokerRow, InstanceRow},
    },
};
use broker_api::{
    ports,
    secret::Secret,
    spec::{NodeSpec, TlsIdentity},
};
use control_plane_api::{access::Access, id::InstanceId};
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Why an instance is not provisioned.
#[derive(Debug, thiserror::Error)]
pub enum ProvisioningError {
    #[error("broker {0} has no address")]
    NoAddress(i32),
    #[error("a secret of the instance cannot be opened")]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Names of secrets in `instance_secrets`. Values are JSON.
pub(crate) mod secret {
    /// [`super::TlsIdentity`] shown to clients.
    pub(crate) const CLIENTS_TLS: &str = "clients-tls";
    /// [`super::TlsIdentity`] that was shown to clients before, while a job puts another in its place.
    pub(crate) const CLIENTS_TLS_BEFORE: &str = "clients-tls-before";
    /// [`super::TlsIdentity`] of the control plane towards the instance's nodes.
    pub(crate) const CONTROL_PLANE_TLS: &str = "control-plane-tls";
    /// Text.
    pub(crate) const DELEGATION_TOKEN_KEY: &str = "delegation-token-key";
    /// Text; of instances whose brokers were made on one machine, from the first boot and for life.
    pub(crate) const REPLICATION_PASSWORD: &str = "replication-password";

    /// [`super::TlsIdentity`] of a node on INT and CTL.
    pub(crate) fn internal_tls(node_id: i32) -> String {
        format!("node-{node_id}-internal-tls")
    }

    /// [`super::TlsIdentity`] of a node's control API.
    pub(crate) fn control_tls(node_id: i32) -> String {
        format!("node-{node_id}-control-tls")
    }
}

/// What a secret of an instance is sealed for.
pub(crate) fn secret_context(instance: InstanceId, name: &str) -> String {
    format!("instance_secrets:{instance}:{name}")
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

    /// One that not every instance has.
    pub(crate) fn find<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SecretError> {
        self.has(name).then(|| self.get(name)).transpose()
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
    pub(crate) access: Access,
}

impl Provisioned {
    /// From rows of an instance whose brokers all have addresses and certificates.
    pub(crate) fn build(
        site: &Site,
        instance: &InstanceRow,
        brokers: &[BrokerRow],
        secrets: &Secrets<'_>,
    ) -> Result<Self, ProvisioningError> {
        let brokers: Vec<BrokerIntent> = brokers
            .iter()
            .map(|broker| {
                Ok(BrokerIntent {
                    node_id: broker.node_id,
                    zone: broker.zone.clone(),
                    directory_id: broker.directory_id.clone(),
                    address: address(broker)?,
                    public_address: broker.public_address,
                })
            })
            .collect::<Result<_, ProvisioningError>>()?;
        let intent = InstanceIntent {
            id: instance.id,
            generation: instance.generation,
            cluster_id: instance.cluster_id.clone(),
            kafka_version: instance.kafka_version.clone(),
            spec: instance.spec.clone(),
            storage_gb: instance.storage_gb,
            access: instance.access.clone(),
            connection_rates: instance.connection_rates.clone(),
            topic_rates: instance.topic_rates.clone(),
            capacity: instance.capacity,
            connections: instance.connections,
            disabled_users: instance.disabled_users.clone(),
            ended_logins: instance.ended_logins.clone(),
        };
        let clients: TlsIdentity = secrets.get(secret::CLIENTS_TLS)?;
        let delegation_token_key: Secret = secrets.get(secret::DELEGATION_TOKEN_KEY)?;
        let replication_password: Option<Secret> = secrets.find(secret::REPLICATION_PASSWORD)?;
        let specs = brokers
            .iter()
            .map(|broker| {
                let keys = NodeKeys {
                    internal: secrets.get(&secret::internal_tls(broker.node_id))?,
                    control: secrets.get(&secret::control_tls(broker.node_id))?,
                    clients: clients.clone(),
                    delegation_token_key: delegation_token_key.clone(),
                    replication_password: replication_password.clone(),
                };
                Ok(node_spec::build(&intent, &brokers, broker, keys, site))
            })
            .collect::<Result<_, ProvisioningError>>()?;
        let identity = Arc::new(secrets.get(secret::CONTROL_PLANE_TLS)?);
        Ok(Self { specs, identity, public_ca_pem: clients.ca_pem, access: instance.access.clone() })
    }

    pub(crate) fn node(&self, spec: &NodeSpec) -> NodeAddress {
        NodeAddress { control: spec.gateway.control, identity: self.identity.clone() }
    }

    pub(crate) fn cluster(&self) -> Cluster {
        let brokers = self.specs.iter().map(|spec| spec.kafka.bind);
        cluster_at(brokers, self.identity.clone(), self.public_ca_pem.clone())
    }
}

fn cluster_at(
    brokers: impl Iterator<Item = IpAddr> + Clone,
    identity: Arc<TlsIdentity>,
    public_ca_pem: String,
) -> Cluster {
    let at = |port| brokers.clone().map(|address| SocketAddr::new(address, port)).collect();
    Cluster { internal: at(ports::INTERNAL), sasl_ssl: at(ports::PRIVATE_SASL_SSL), identity, public_ca_pem }
}

/// How to talk to the Kafka of an instance that is provisioned.
pub(crate) async fn cluster(
    tx: &mut Connection,
    keyring: &Keyring,
    instance: InstanceId,
) -> Result<Cluster, ProvisioningError> {
    let brokers = rows::load(tx, instance).await?.map(|(_, brokers)| brokers).unwrap_or_default();
    let secrets = Secrets::load(tx, keyring, instance).await?;
    let identity: TlsIdentity = secrets.get(secret::CONTROL_PLANE_TLS)?;
    let clients: TlsIdentity = secrets.get(secret::CLIENTS_TLS)?;
    let brokers: Vec<IpAddr> = brokers.iter().map(address).collect::<Result<_, _>>()?;
    Ok(cluster_at(brokers.into_iter(), Arc::new(identity), clients.ca_pem))
}

/// Where the control APIs of an instance's brokers are, by node id; none while it is not made yet.
pub(crate) async fn node_addresses(
    tx: &mut Connection,
    keyring: &Keyring,
    instance: InstanceId,
) -> Result<Vec<(i32, NodeAddress)>, ProvisioningError> {
    let Some((_, brokers)) = rows::load(tx, instance).await? else { return Ok(Vec::new()) };
    let secrets = Secrets::load(tx, keyring, instance).await?;
    let identity: Arc<TlsIdentity> = Arc::new(secrets.get(secret::CONTROL_PLANE_TLS)?);
    let node = |broker: &BrokerRow| {
        let control = node_spec::control_address(address(broker)?);
        Ok((broker.node_id, NodeAddress { control, identity: identity.clone() }))
    };
    brokers.iter().map(node).collect()
}

/// Where clients find the brokers.
pub(crate) fn places(brokers: &[BrokerRow]) -> Result<Vec<Place>, ProvisioningError> {
    brokers.iter().map(|broker| broker.place().ok_or(ProvisioningError::NoAddress(broker.node_id))).collect()
}

/// Where the broker stands.
pub(crate) fn address(broker: &BrokerRow) -> Result<IpAddr, ProvisioningError> {
    broker.address.ok_or(ProvisioningError::NoAddress(broker.node_id))
}
