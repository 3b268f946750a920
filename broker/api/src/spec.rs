//! Desired state of one broker node: one immutable snapshot with a generation.

use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Everything a node needs, resolved to numbers, addresses and PEM text.
///
/// A node refuses a spec whose `generation` is lower than the one in force, or whose `identity`
/// is not its own. Equal generation and equal content is a repeat, and succeeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// Rises with every change of intent (≥ 1).
    pub generation: u64,
    pub identity: NodeIdentity,
    pub kafka: KafkaSpec,
    pub gateway: GatewaySpec,
}

/// What never changes in a node's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeIdentity {
    /// Instance id, `ins_…`.
    pub instance: String,
    /// Kafka's `node.id`, ≥ 0.
    pub node_id: i32,
    /// Kafka's cluster id: 22 characters of URL-safe base64.
    pub cluster_id: String,
    /// Kafka's directory id of this node's log directory, same shape; chosen before the format so
    /// that every voter can name it (`--initial-controllers`, KIP-853).
    pub directory_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Broker,
    Controller,
}

/// What the JVM is started with. A change here is a restart or a dynamic config, never hot in the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSpec {
    /// Version of Apache Kafka, `4.3.1`.
    pub version: String,
    /// Kept a field although all nodes run both roles today (kafka.md finding 5).
    pub roles: Vec<Role>,
    /// `broker.rack`: the availability zone.
    pub rack: String,
    /// Address that INT, CTL, PLN, SAS and REP bind to.
    pub bind: IpAddr,
    /// Host that the other brokers reach INT, CTL and REP by: a name or an address.
    pub internal_host: String,
    /// The initial voters, the same list on every node; a node outside it formats as an observer.
    pub initial_controllers: Vec<Voter>,
    /// `controller.quorum.bootstrap.servers`, `host:port`.
    pub quorum_bootstrap: Vec<String>,
    pub jvm: Jvm,
    /// Certificate of this node for INT and CTL, and the internal CA that signed all of them.
    /// Subject `CN=sluice-node`, which is a super user.
    pub internal_tls: TlsIdentity,
    /// Principals beside `User:sluice-node` that are super users: `User:sluice-control-plane`.
    pub super_users: Vec<String>,
    /// Number of brokers of the instance: default replication factor is the lesser of it and 3.
    pub brokers: u32,
    /// Largest message, bytes (product.md §5: 10 MB).
    pub max_message_bytes: u64,
    /// Disk that this broker was sold, bytes, all of it usable by logs.
    pub disk_bytes: u64,
    /// Key for delegation tokens: static in Kafka, so it is there from the first boot.
    pub delegation_token_key: Secret,
    /// What brokers log in to each other with on REP, where all of them have loopback addresses of one machine; none: they
    /// replicate over INT. All brokers of an instance have the same, from the first boot and for life: those that do otherwise can't
    /// reach each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_password: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voter {
    pub node_id: i32,
    pub directory_id: String,
    pub host: String,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jvm {
    /// `-Xms` = `-Xmx`, bytes.
    pub heap_bytes: u64,
    /// Stop at the C1 compiler: starts faster, peaks lower (machine.md §0).
    pub fast_start: bool,
}

/// A certificate chain with its key, and the CA bundle that peers are verified against. PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsIdentity {
    /// Leaf first.
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: Secret,
    pub ca_pem: String,
}

/// What the gateway serves. Every field can change without the JVM noticing.
///
/// A field that came later is not sent while it has its default: a node of an earlier release refuses what it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySpec {
    /// Where the control API listens.
    pub control: SocketAddr,
    /// Server identity of the control API; `ca_pem` is the platform's internal CA, and a caller
    /// must show a certificate with the common name `sluice-control-plane`.
    pub control_tls: TlsIdentity,
    pub listeners: Vec<Listener>,
    /// Certificate shown to clients on TLS listeners. `ca_pem` is what clients should trust.
    pub server_tls: TlsIdentity,
    pub limits: GatewayLimits,
    /// Networks of balancers: their connections begin with a header of the PROXY protocol, version 2, which says who the
    /// client is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub balancers: Vec<String>,
    /// Whether a topic that a client asks for and that is missing is made, if the client lets it (product.md §5).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_create_topics: bool,
    /// Which addresses may connect.
    #[serde(default, skip_serializing_if = "IpRules::is_open")]
    pub ip_rules: IpRules,
    /// How fast client addresses may open connections.
    #[serde(default, skip_serializing_if = "ConnectionRates::is_unlimited")]
    pub connection_rates: ConnectionRates,
    /// How fast records of topics may pass, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub topic_rates: BTreeMap<String, TopicRates>,
    /// Tokens that clients may log in with by OAUTHBEARER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerTrust>,
    /// Certificates that clients may sign in with on TLS listeners (mTLS). None: no certificate is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<ClientCertificates>,
    /// Mechanisms whose logins are refused and whose connections are closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disabled_mechanisms: Vec<SaslMechanism>,
    /// Principals whose logins are refused and whose connections are closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disabled_users: Vec<String>,
    /// Users whose logins ended at a generation, by a new password or a deletion: a connection that logged in under an
    /// older one is closed. Whoever still has a good password logs in again, so that repeats do no harm.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ended_logins: BTreeMap<String, u64>,
    /// What happens when the disk that was sold is full.
    #[serde(default, skip_serializing_if = "CapacityRule::is_default")]
    pub capacity: CapacityRule,
}

/// What happens when a broker's logs take so much of [`KafkaSpec::disk_bytes`] (product.md §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityRule {
    pub policy: CapacityPolicy,
    /// 1 to 98.
    pub threshold_percent: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityPolicy {
    /// The oldest tenth is dropped and producing goes on.
    AutoDelete,
    /// Produce is refused and consume goes on.
    ProduceLimited,
}

impl CapacityRule {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for CapacityRule {
    fn default() -> Self {
        Self { policy: CapacityPolicy::AutoDelete, threshold_percent: 95 }
    }
}

/// How a client proves that it knows a user's password (RFC 4616, RFC 5802), by its name in SASL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaslMechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Which tokens say who a client is (JSON Web Tokens, RFC 7519).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BearerTrust {
    /// `iss` that a token must have.
    pub issuer: String,
    /// `aud` that a token must have, or have among others.
    pub audience: String,
    /// Claim that names the user.
    pub user_claim: String,
    /// Public keys of the issuer: a JSON Web Key Set (RFC 7517) as text.
    pub keys: String,
}

/// Which certificates say who a client is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// Authorities that they come from. PEM, at least one.
    pub ca_pem: String,
    /// Certificates that these took back: X.509 lists of version 2 (RFC 5280 §5). PEM, any number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub crl_pem: String,
    /// What a subject becomes, as Kafka's `ssl.principal.mapping.rules`; empty: the whole name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub principal_rules: String,
}

/// Networks as `10.1.0.0/16`. What `deny` holds may not connect; of the rest, what `allow` holds may, or all if it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpRules {
    #[serde(default)]
    pub allow: Vec<String>,
    #[serde(default)]
    pub deny: Vec<String>,
}

impl IpRules {
    /// Whether everybody may connect.
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

/// Connections a second that one client address may open to this broker (KIP-612), each ≥ 1; those above are refused. An IPv4
/// address in IPv6 form is the IPv4 address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionRates {
    /// Of every address that is not named; none: as fast as it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub of_ip: BTreeMap<IpAddr, u32>,
}

impl ConnectionRates {
    /// Whether nobody is held back.
    pub fn is_unlimited(&self) -> bool {
        self.default.is_none() && self.of_ip.is_empty()
    }
}

/// Bytes a second that clients may produce to, and consume from, one topic at this broker, all together; each ≥ 4096, none:
/// as fast as they can.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicRates {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub produce: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consume: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    pub path: AccessPath,
    pub bind: SocketAddr,
    /// Address of every broker of the instance on this path: what clients get back.
    pub advertised: Vec<AdvertisedAddress>,
    /// Networks as `10.1.0.0/16` that may come by this path, besides what [`GatewaySpec::ip_rules`] says; none: any. An empty
    /// list keeps everybody out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
}

/// The way a client comes in (product.md §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessPath {
    PrivatePlaintext,
    PrivateSaslSsl,
    PublicPlaintext,
    PublicSaslSsl,
    /// Through endpoints in other networks.
    CrossNetwork,
}

impl AccessPath {
    pub const ALL: [Self; 5] =
        [Self::PrivatePlaintext, Self::PrivateSaslSsl, Self::PublicPlaintext, Self::PublicSaslSsl, Self::CrossNetwork];

    /// TLS and a login; else neither.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::PrivateSaslSsl | Self::PublicSaslSsl | Self::CrossNetwork)
    }

    pub fn is_public(self) -> bool {
        matches!(self, Self::PublicPlaintext | Self::PublicSaslSsl)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrivatePlaintext => "private-plaintext",
            Self::PrivateSaslSsl => "private-sasl-ssl",
            Self::PublicPlaintext => "public-plaintext",
            Self::PublicSaslSsl => "public-sasl-ssl",
            Self::CrossNetwork => "cross-network",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdvertisedAddress {
    pub node_id: i32,
    pub host: String,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayLimits {
    /// Largest frame before login, bytes (Kafka's own cap: 524 288).
    pub max_login_frame_bytes: u32,
    /// Largest request, bytes (`socket.request.max.bytes`).
    pub max_request_bytes: u32,
    /// From accept to login, ms.
    pub login_timeout_ms: u64,
    /// Without a byte either way, ms (`connections.max.idle.ms`).
    pub idle_timeout_ms: u64,
    /// Client connections to this broker; more are refused.
    pub max_connections: u32,
    /// Client connections to this broker from one IP address, over all paths; more are refused
    /// (product.md §5; Kafka's `max.connections.per.ip`).
    #[serde(default = "default_connections_per_ip")]
    pub max_connections_per_ip: u32,
    /// Client connections to all brokers of the instance together; 0 is no limit. The same at every node.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_instance_connections: u32,
    /// Partitions that all topics of the instance may have together, those of Kafka and the platform not counted
    /// (product.md §1); 0 is no limit. The same at every node.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_partitions: u32,
    /// Consumer groups that the instance may have, those of the platform not counted (product.md §1); 0 is no limit. The
    /// same at every node.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_groups: u32,
    /// Records from all clients of this broker, bytes a second; none: as fast as it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_bytes_per_second: Option<u64>,
    /// Records to all clients of this broker, bytes a second; none: as fast as it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_bytes_per_second: Option<u64>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Connections for one client IP (product.md §5).
pub const DEFAULT_CONNECTIONS_PER_IP: u32 = 200;

fn default_connections_per_ip() -> u32 {
    DEFAULT_CONNECTIONS_PER_IP
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            max_login_frame_bytes: 524_288,
            max_request_bytes: 104_857_600,
            login_timeout_ms: 10_000,
            idle_timeout_ms: 600_000,
            max_connections: 10_000,
            max_connections_per_ip: DEFAULT_CONNECTIONS_PER_IP,
            max_instance_connections: 0,
            max_partitions: 0,
            max_groups: 0,
            ingress_bytes_per_second: None,
            egress_bytes_per_second: None,
        }
    }
}
