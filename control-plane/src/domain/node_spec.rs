//! The spec of each node of an instance, from what was sold and where it stands. Pure: the same intent gives the same
//! spec, so that a repeat of a step tells nodes nothing new.

use crate::domain::{
    bandwidth, capacity,
    client_paths::{self, Place},
    connection_limits::{self, Limits},
    storage,
};
use broker_api::{
    ports,
    secret::Secret,
    spec::{
        AccessPath, AdvertisedAddress, BearerTrust, CapacityPolicy, CapacityRule, ClientCertificates, ConnectionRates,
        GatewayLimits, GatewaySpec, IpRules, Jvm, KafkaSpec, Listener, NodeIdentity, NodeSpec, Role, SaslMechanism,
        TlsIdentity, TopicRates, Voter,
    },
};
use control_plane_api::{
    access::{self, Access, Mtls, TokenTrust},
    catalogue::Spec,
    id::InstanceId,
    instance,
};
use ipnet::IpNet;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

/// Raised when the same rows give other specs than before: running instances are told, by a new generation.
pub const REVISION: i32 = 4;

/// Largest message (product.md §5: 10 MB).
const MAX_MESSAGE_BYTES: u64 = 10 * 1024 * 1024;
/// Voters of the quorum; the nodes after them are observers (architecture.md point 10).
const VOTERS: usize = 3;
const GIB: u64 = 1 << 30;
/// Sold disks are counted in powers of ten.
const GB: u64 = 1_000_000_000;

/// What of an instance decides its nodes' specs.
#[derive(Debug, Clone)]
pub struct InstanceIntent {
    pub id: InstanceId,
    pub generation: u64,
    pub cluster_id: String,
    pub kafka_version: String,
    pub spec: Spec,
    pub storage_gb: u32,
    pub access: Access,
    pub connection_rates: ConnectionRates,
    pub topic_rates: BTreeMap<String, TopicRates>,
    pub capacity: capacity::Rule,
    pub connections: connection_limits::Chosen,
    /// See [`GatewaySpec::disabled_users`].
    pub disabled_users: Vec<String>,
    /// See [`GatewaySpec::ended_logins`].
    pub ended_logins: BTreeMap<String, u64>,
}

/// A broker that has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerIntent {
    pub node_id: i32,
    pub zone: String,
    pub directory_id: String,
    pub address: IpAddr,
    /// On the public network, while it has one there.
    pub public_address: Option<IpAddr>,
}

impl BrokerIntent {
    fn place(&self) -> Place {
        Place { node_id: self.node_id, private: self.address, public: self.public_address }
    }
}

/// What a node proves itself with.
#[derive(Debug, Clone)]
pub struct NodeKeys {
    /// INT and CTL.
    pub internal: TlsIdentity,
    /// Server of the control API.
    pub control: TlsIdentity,
    /// What clients see; one for the instance.
    pub clients: TlsIdentity,
    /// One for the instance.
    pub delegation_token_key: Secret,
    /// One for the instance, if its brokers were made on one machine.
    pub replication_password: Option<Secret>,
}

/// What holds for every node of this installation.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// Heap of every JVM, instead of a share of the memory that was sold: for machines that cannot give what is sold.
    pub heap_mb: Option<u64>,
    /// See [`Jvm::fast_start`].
    pub fast_start: bool,
    /// See [`GatewaySpec::balancers`].
    pub balancers: Vec<IpNet>,
    /// Brokers of one machine replicate by TLS too, in instances that are made from now on.
    pub replication_tls: bool,
}

impl Site {
    /// A quarter of the broker's memory, 512 MiB to 6 GiB: the rest is worth more as page cache.
    fn heap_bytes(&self, spec: &Spec) -> u64 {
        match self.heap_mb {
            Some(megabytes) => megabytes << 20,
            None => (u64::from(spec.broker_memory_gib) * GIB / 4).clamp(GIB / 2, 6 * GIB),
        }
    }
}

/// The spec of the broker `broker`, which is one of `brokers`.
pub fn build(
    instance: &InstanceIntent,
    brokers: &[BrokerIntent],
    broker: &BrokerIntent,
    keys: NodeKeys,
    site: &Site,
) -> NodeSpec {
    let voters = voters(brokers);
    let places: Vec<Place> = brokers.iter().map(BrokerIntent::place).collect();
    let listeners = client_paths::open(&instance.access, &places)
        .filter_map(|path| listener(path, &instance.access, &places, &broker.place()));
    NodeSpec {
        generation: instance.generation,
        identity: NodeIdentity {
            instance: instance.id.to_string(),
            node_id: broker.node_id,
            cluster_id: instance.cluster_id.clone(),
            directory_id: broker.directory_id.clone(),
        },
        kafka: KafkaSpec {
            version: instance.kafka_version.clone(),
            roles: vec![Role::Broker, Role::Controller],
            rack: broker.zone.clone(),
            bind: broker.address,
            internal_host: broker.address.to_string(),
            quorum_bootstrap: voters
                .iter()
                .map(|voter| SocketAddr::new(voter.address, ports::CONTROLLER).to_string())
                .collect(),
            initial_controllers: voters.into_iter().map(voter).collect(),
            jvm: Jvm { heap_bytes: site.heap_bytes(&instance.spec), fast_start: site.fast_start },
            internal_tls: keys.internal,
            super_users: vec!["User:sluice-control-plane".to_owned()],
            brokers: u32::try_from(brokers.len()).unwrap_or(u32::MAX),
            max_message_bytes: MAX_MESSAGE_BYTES,
            disk_bytes: u64::from(storage::broker_gb(instance.storage_gb, instance.spec.brokers)) * GB,
            delegation_token_key: keys.delegation_token_key,
            replication_password: keys.replication_password,
        },
        gateway: GatewaySpec {
            control: control_address(broker.address),
            control_tls: keys.control,
            listeners: listeners.collect(),
            balancers: site.balancers.iter().map(ToString::to_string).collect(),
            auto_create_topics: instance.access.auto_create_topics,
            ip_rules: IpRules { allow: instance.access.allow_ips.clone(), deny: instance.access.deny_ips.clone() },
            connection_rates: instance.connection_rates.clone(),
            topic_rates: instance.topic_rates.clone(),
            bearer: instance.access.oauthbearer.as_ref().map(bearer),
            client_certificates: client_certificates(&instance.access.mtls),
            server_tls: keys.clients,
            limits: limits(&instance.spec, instance.connections.in_force(instance.spec.client_connections)),
            disabled_mechanisms: disabled_mechanisms(&instance.access.mechanisms),
            disabled_users: instance.disabled_users.clone(),
            ended_logins: instance.ended_logins.clone(),
            capacity: capacity_rule(instance.capacity),
        },
    }
}

/// All but those that are on.
fn disabled_mechanisms(on: &[access::SaslMechanism]) -> Vec<SaslMechanism> {
    let off = access::SaslMechanism::ALL.into_iter().filter(|mechanism| !on.contains(mechanism));
    off.map(|mechanism| match mechanism {
        access::SaslMechanism::ScramSha512 => SaslMechanism::ScramSha512,
        access::SaslMechanism::ScramSha256 => SaslMechanism::ScramSha256,
        access::SaslMechanism::Plain => SaslMechanism::Plain,
    })
    .collect()
}

fn bearer(trust: &TokenTrust) -> BearerTrust {
    BearerTrust {
        issuer: trust.issuer.clone(),
        audience: trust.audience.clone(),
        user_claim: trust.user_claim.clone(),
        keys: serde_json::json!(trust.keys).to_string(),
    }
}

/// What clients may sign in with by these settings, if with anything.
pub fn client_certificates(mtls: &Mtls) -> Option<ClientCertificates> {
    mtls.enabled.then(|| ClientCertificates {
        ca_pem: mtls.authorities.iter().map(|one| one.pem.as_str()).collect(),
        crl_pem: mtls.revocation_lists.iter().map(|one| one.pem.as_str()).collect(),
        principal_rules: mtls.principal_rules.clone(),
    })
}

/// What one broker may take of what the spec sells.
fn limits(spec: &Spec, connections: Limits) -> GatewayLimits {
    let share = Some(bandwidth::share(spec));
    GatewayLimits {
        // One broker may have all of the instance's.
        max_connections: connection_limits::MOST_ALLOWED,
        max_connections_per_ip: connections.per_ip,
        max_instance_connections: connections.total,
        max_partitions: spec.partitions,
        max_groups: spec.consumer_groups,
        ingress_bytes_per_second: share,
        egress_bytes_per_second: share,
        ..GatewayLimits::default()
    }
}

fn capacity_rule(rule: capacity::Rule) -> CapacityRule {
    let policy = match rule.policy {
        instance::CapacityPolicy::AutoDelete => CapacityPolicy::AutoDelete,
        instance::CapacityPolicy::ProduceLimited => CapacityPolicy::ProduceLimited,
    };
    CapacityRule { policy, threshold_percent: rule.threshold_percent }
}

/// Where the control API of the node at this address listens.
pub fn control_address(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, ports::CONTROL)
}

fn listener(path: AccessPath, access: &Access, places: &[Place], broker: &Place) -> Option<Listener> {
    let advertised = places.iter().filter_map(|place| {
        let (host, port) = client_paths::advertised(path, access, place)?;
        Some(AdvertisedAddress { node_id: place.node_id, host, port })
    });
    let bind = client_paths::bind(path, broker)?;
    Some(Listener { path, bind, advertised: advertised.collect(), sources: client_paths::sources(path, access) })
}

/// The first three by node id: placement goes round the zones, so they stand in different ones.
fn voters(brokers: &[BrokerIntent]) -> Vec<&BrokerIntent> {
    let mut brokers: Vec<&BrokerIntent> = brokers.iter().collect();
    brokers.sort_by_key(|broker| broker.node_id);
    brokers.truncate(VOTERS);
    brokers
}

fn voter(broker: &BrokerIntent) -> Voter {
    Voter {
        node_id: broker.node_id,
        directory_id: broker.directory_id.clone(),
        host: broker.address.to_string(),
        port: ports::CONTROLLER,
    }
}
