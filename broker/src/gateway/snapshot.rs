//! What the gateway serves right now: one immutable value, built and checked as a whole from a
//! [`NodeSpec`] and swapped at once.
//!
//! Pure: parses and validates; opens nothing.

use super::admission::counted::Counted;
use super::bearer;
use super::certificates;
use super::connection_rates::ConnectionRates;
use super::error::GatewayError;
use super::ip_rules::{IpRules, networks, within};
use super::tls;
use crate::inter_broker::Peer;
use broker_api::acl::is_platform_user;
use broker_api::ports;
use broker_api::spec::{AccessPath, GatewayLimits, Listener, NodeSpec, SaslMechanism, TopicRates};
use ipnet::IpNet;
use rustls::ServerConfig;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What a batch of one largest record may carry beside the record's own bytes: headers of batch
/// and record, and the compressor's own overhead on data that does not compress.
const BATCH_OVERHEAD_BYTES: u64 = 64 * 1024;

/// Slowest bandwidth, bytes a second: below it a single largest message would take an hour.
const LEAST_RATE: u64 = 4096;

/// See the module.
#[derive(Debug)]
pub struct Snapshot {
    /// Of the spec that it was built from.
    pub(super) generation: u64,
    pub(super) paths: BTreeMap<AccessPath, Path>,
    pub(super) limits: GatewayLimits,
    pub(super) auto_create_topics: bool,
    disabled_mechanisms: Vec<SaslMechanism>,
    pub(super) disabled_users: HashSet<String>,
    ip_rules: IpRules,
    pub(super) connection_rates: ConnectionRates,
    pub(super) topic_rates: BTreeMap<String, TopicRates>,
    balancers: Vec<IpNet>,
    pub(super) bearer: Option<bearer::Trust>,
    /// Certificates that clients may sign in with.
    pub(super) clients: Option<Arc<certificates::Trust>>,
    ended_logins: HashMap<String, u64>,
    /// Largest value that a topic's `max.message.bytes` may take.
    pub(super) max_batch_bytes: u64,
    /// Who we are on the brokers' own listeners.
    pub(super) peer: Arc<Peer>,
    pub(super) certificate: tls::Shown,
    /// Handshakes of all TLS paths.
    pub(super) tls: Arc<ServerConfig>,
}

/// One way in, and where it leads.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) bind: SocketAddr,
    /// Kafka's loopback listener for this path.
    pub(super) upstream: SocketAddr,
    /// Every broker's address as clients of this path must see it, by node id.
    pub(super) advertised: HashMap<i32, Address>,
    /// Where its clients come from, if not from anywhere.
    sources: Option<Vec<IpNet>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Snapshot {
    /// Checks the parts of `spec` that the gateway serves. Errors name the field.
    pub fn build(spec: &NodeSpec) -> Result<Self, GatewayError> {
        let gateway = &spec.gateway;
        check_limits(&gateway.limits)?;
        check_topic_rates(&gateway.topic_rates)?;
        let mut paths = BTreeMap::new();
        for listener in &gateway.listeners {
            let path = build_path(listener, spec)?;
            if paths.insert(listener.path, path).is_some() {
                let twice = listener.path.as_str();
                return Err(GatewayError::invalid(format!("listeners names the path {twice} twice; once is accepted")));
            }
        }
        let ip_rules = IpRules::parse(&gateway.ip_rules)?;
        let connection_rates = ConnectionRates::parse(&gateway.connection_rates)?;
        let bearer = gateway.bearer.as_ref().map(bearer::Trust::parse).transpose()?;
        let balancers = networks("balancers", &gateway.balancers)?;
        let certificate = tls::load("server_tls", &gateway.server_tls)?;
        let clients = gateway.client_certificates.as_ref().map(certificates::Trust::parse).transpose()?.map(Arc::new);
        let tls = tls::server_config(certificate.certified.clone(), clients.as_deref())
            .map_err(|e| GatewayError::invalid(format!("TLS cannot be set up: {e}")))?;
        let peer = Arc::new(Peer::of(spec).map_err(|error| GatewayError::invalid(error.to_string()))?);
        Ok(Self {
            generation: spec.generation,
            paths,
            limits: gateway.limits.clone(),
            auto_create_topics: gateway.auto_create_topics,
            ip_rules,
            connection_rates,
            topic_rates: gateway.topic_rates.clone(),
            balancers,
            bearer,
            clients,
            disabled_mechanisms: gateway.disabled_mechanisms.clone(),
            disabled_users: gateway.disabled_users.iter().cloned().collect(),
            ended_logins: gateway.ended_logins.iter().map(|(user, since)| (user.clone(), *since)).collect(),
            max_batch_bytes: spec.kafka.max_message_bytes.saturating_add(BATCH_OVERHEAD_BYTES),
            peer,
            certificate,
            tls,
        })
    }

    /// Whether a client may log in as, or stay logged in as, `user`.
    pub(super) fn admits(&self, user: &str) -> bool {
        !is_platform_user(user) && !self.disabled_users.contains(user)
    }

    /// Whether a client may log in, or stay logged in, by this mechanism. Says nothing of tokens and certificates, of which
    /// what is trusted says it.
    pub(super) fn takes(&self, mechanism: &str) -> bool {
        self.disabled_mechanisms.iter().all(|disabled| disabled.as_str() != mechanism)
    }

    /// Whether a client of this address may connect by this path, or stay connected. A path that is closed ends its
    /// connections by itself.
    pub(super) fn admits_from(&self, path: AccessPath, client: IpAddr) -> bool {
        let sources = self.paths.get(&path).and_then(|path| path.sources.as_deref());
        self.ip_rules.admit(client) && sources.is_none_or(|sources| within(sources, client))
    }

    /// Whether connections from this address begin by saying whose they are.
    pub(super) fn is_balancer(&self, peer: IpAddr) -> bool {
        within(&self.balancers, peer)
    }

    /// Whether a login as `user` that began under this generation still counts.
    pub(super) fn keeps_login(&self, user: &str, began_under: u64) -> bool {
        self.ended_logins.get(user).is_none_or(|since| began_under >= *since)
    }

    /// How many the instance may have; 0 is no limit.
    pub(super) fn limit(&self, counted: Counted) -> u64 {
        match counted {
            Counted::Partitions => self.limits.max_partitions.into(),
            Counted::Groups => self.limits.max_groups.into(),
        }
    }

    /// Whether the instance may have only so many.
    pub(super) fn limits(&self, counted: Counted) -> bool {
        self.limit(counted) > 0
    }

    /// The address of `node` for clients of `path`; `None` for a node that has none there.
    pub(super) fn address(&self, path: AccessPath, node: i32) -> Option<&Address> {
        self.paths.get(&path)?.advertised.get(&node)
    }
}

fn build_path(listener: &Listener, spec: &NodeSpec) -> Result<Path, GatewayError> {
    let name = listener.path.as_str();
    let mut advertised = HashMap::new();
    for address in &listener.advertised {
        // A Kafka string has a 16-bit length; a DNS name is far shorter (RFC 1035 §2.3.4).
        if address.host.is_empty() || address.host.len() > 253 || address.port == 0 {
            return Err(GatewayError::invalid(format!(
                "the address advertised for node {} on {name} needs a host of 1 to 253 characters and a port of 1 to 65535",
                address.node_id
            )));
        }
        let value = Address { host: address.host.clone(), port: address.port };
        if advertised.insert(address.node_id, value).is_some() {
            return Err(GatewayError::invalid(format!("node {} is advertised twice on {name}", address.node_id)));
        }
    }
    if !advertised.contains_key(&spec.identity.node_id) {
        return Err(GatewayError::invalid(format!(
            "{name} advertises no address for this node, {}",
            spec.identity.node_id
        )));
    }
    let sources = listener.sources.as_deref().map(|sources| networks("listeners.sources", sources)).transpose()?;
    let port = if listener.path.is_tls() { ports::UPSTREAM_SASL } else { ports::UPSTREAM_PLAINTEXT };
    Ok(Path { bind: listener.bind, upstream: SocketAddr::new(spec.kafka.bind, port), advertised, sources })
}

fn check_topic_rates(rates: &BTreeMap<String, TopicRates>) -> Result<(), GatewayError> {
    for (topic, TopicRates { produce, consume }) in rates {
        if let Some(rate) = produce.iter().chain(consume).find(|rate| **rate < LEAST_RATE) {
            return Err(GatewayError::invalid(format!(
                "topic_rates of {topic:?}: {rate} bytes a second; at least {LEAST_RATE} are accepted"
            )));
        }
    }
    Ok(())
}

fn check_limits(limits: &GatewayLimits) -> Result<(), GatewayError> {
    // The smallest useful frame is a request header with a client id; below it nobody could log in.
    let floors = [
        ("max_login_frame_bytes", u64::from(limits.max_login_frame_bytes), 1_024),
        ("max_request_bytes", u64::from(limits.max_request_bytes), 1_024),
        ("login_timeout_ms", limits.login_timeout_ms, 1),
        ("idle_timeout_ms", limits.idle_timeout_ms, 1),
        ("max_connections", u64::from(limits.max_connections), 1),
        ("max_connections_per_ip", u64::from(limits.max_connections_per_ip), 1),
    ];
    let rates = [
        ("ingress_bytes_per_second", limits.ingress_bytes_per_second),
        ("egress_bytes_per_second", limits.egress_bytes_per_second),
    ];
    let rates = rates.into_iter().filter_map(|(field, rate)| Some((field, rate?, LEAST_RATE)));
    for (field, value, floor) in floors.into_iter().chain(rates) {
        if value < floor {
            return Err(GatewayError::invalid(format!("limits.{field} is {value}; at least {floor} is accepted")));
        }
    }
    if i32::try_from(limits.max_request_bytes).is_err() || i32::try_from(limits.max_login_frame_bytes).is_err() {
        return Err(GatewayError::invalid(
            "limits of frames are at most 2147483647 bytes, a Kafka frame's length field",
        ));
    }
    Ok(())
}
