//! `server.properties` of a node, from its spec. Pure.
//!
//! Owns every setting of Kafka that we choose; what is absent here is Kafka's default. Settings
//! that Kafka can never change while running are chosen for life (kafka.md §B), so they must not
//! depend on anything that a tenant can change. May use the spec, the ports and the release table.

use super::release::Line;
use crate::assertion;
use broker_api::ports;
use broker_api::secret::Secret;
use broker_api::spec::{KafkaSpec, NodeSpec, Role};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

const MIB: u64 = 1024 * 1024;

/// Who brokers are to each other: by certificate on INT and CTL, by password on REP.
pub(super) const NODE_USER: &str = "sluice-node";

/// Room beside the largest message's value for batch header, key and headers: Kafka's limit is on
/// the whole batch.
const BATCH_OVERHEAD_BYTES: u64 = 4096;
/// As the gateway's own: a reconnect storm of what is sold comes here next. With Kafka's 50, some of 200 waited for a second.
const LISTEN_BACKLOG: u32 = 4096;

/// Replication factor of everything, where there are brokers enough (product.md §6).
const REPLICAS: u32 = 3;

/// Partitions a broker is sold for at the smallest spec: 300 over three brokers with three replicas
/// (product.md §1). Segments are cut so that each has about twenty of them (kafka.md finding 17).
const PARTITIONS_A_BROKER: u64 = 300;
const SEGMENTS_A_PARTITION: u64 = 20;

/// Where the files that Kafka is told of lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaPaths {
    /// Kafka's log directory.
    pub data: PathBuf,
    /// Certificate chain and key of INT and CTL.
    pub keystore: PathBuf,
    /// CA that signed the certificates of all brokers of the instance.
    pub truststore: PathBuf,
    /// Public keys of the tokens that this node's gateway signs.
    pub token_keys: PathBuf,
}

impl KafkaPaths {
    pub fn new(kafka: &Path, data: PathBuf) -> Self {
        Self {
            data,
            keystore: kafka.join("internal.pem"),
            truststore: kafka.join("internal-ca.pem"),
            token_keys: kafka.join("token-keys.json"),
        }
    }

    /// `file:` URL of the token keys, exactly as both a property and a system property name it.
    pub fn token_keys_url(&self) -> String {
        format!("file://{}", self.token_keys.display())
    }
}

/// An ordered list of settings, each key once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

impl Properties {
    fn set(&mut self, key: impl Into<String>, value: impl ToString) {
        self.0.push((key.into(), value.to_string()));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// The text that `java.util.Properties.load` reads back as these settings.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (key, value) in self.iter() {
            escape(&mut text, key, true);
            text.push('=');
            escape(&mut text, value, false);
            text.push('\n');
        }
        text
    }
}

fn escape(out: &mut String, text: &str, key: bool) {
    for (index, character) in text.chars().enumerate() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' ' if key || index == 0 => out.push_str("\\ "),
            '=' | ':' | '#' | '!' if key => {
                out.push('\\');
                out.push(character);
            }
            ' '..='~' => out.push(character),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
}

/// Everything that Kafka is told.
pub fn server_properties(spec: &NodeSpec, line: Line, paths: &KafkaPaths) -> Properties {
    let mut p = Properties::default();
    identity(&mut p, spec);
    listeners(&mut p, &spec.kafka);
    internal_tls(&mut p, paths);
    sasl(&mut p, spec, line, paths);
    authorizer(&mut p, &spec.kafka);
    topics(&mut p, &spec.kafka, line);
    limits(&mut p, &spec.kafka);
    p.set("log.dirs", paths.data.display());
    p
}

fn identity(p: &mut Properties, spec: &NodeSpec) {
    let roles: Vec<_> = spec.kafka.roles.iter().map(role).collect();
    p.set("process.roles", roles.join(","));
    p.set("node.id", spec.identity.node_id);
    p.set("broker.rack", &spec.kafka.rack);
    // Never `controller.quorum.voters`: a static quorum cannot become a dynamic one on 3.9 (finding 5).
    p.set("controller.quorum.bootstrap.servers", spec.kafka.quorum_bootstrap.join(","));
}

fn role(role: &Role) -> &'static str {
    match role {
        Role::Broker => "broker",
        Role::Controller => "controller",
    }
}

fn listeners(p: &mut Properties, kafka: &KafkaSpec) {
    let bind = host(kafka.bind);
    let internal = &kafka.internal_host;
    let internal = internal.parse::<IpAddr>().map_or_else(|_| internal.clone(), host);
    let mut all = vec![
        ("INT", "SSL", &internal, ports::INTERNAL),
        ("CTL", "SSL", &internal, ports::CONTROLLER),
        // What these two advertise is the gateway's to rewrite: clients never see it.
        ("PLN", "PLAINTEXT", &bind, ports::UPSTREAM_PLAINTEXT),
        ("SAS", "SASL_PLAINTEXT", &bind, ports::UPSTREAM_SASL),
    ];
    let mut between_brokers = "INT";
    if let Some(password) = &kafka.replication_password {
        between_brokers = "REP";
        all.push((between_brokers, "SASL_PLAINTEXT", &internal, ports::REPLICATION));
        replication(p, password);
    }
    let (mut listeners, mut advertised, mut protocols) = (vec![], vec![], vec![]);
    for (name, protocol, host, port) in all {
        listeners.push(format!("{name}://{bind}:{port}"));
        advertised.push(format!("{name}://{host}:{port}"));
        protocols.push(format!("{name}:{protocol}"));
    }
    p.set("listeners", listeners.join(","));
    p.set("advertised.listeners", advertised.join(","));
    p.set("listener.security.protocol.map", protocols.join(","));
    p.set("inter.broker.listener.name", between_brokers);
    p.set("controller.listener.names", "CTL");
}

/// An identity without encryption: what goes over REP does not leave the machine (docs/adr/0003).
fn replication(p: &mut Properties, password: &Secret) {
    let password = password.expose();
    p.set("sasl.mechanism.inter.broker.protocol", "SCRAM-SHA-512");
    p.set("listener.name.rep.sasl.enabled.mechanisms", "SCRAM-SHA-512");
    p.set(
        "listener.name.rep.scram-sha-512.sasl.jaas.config",
        format!(
            "org.apache.kafka.common.security.scram.ScramLoginModule required \
             username=\"{NODE_USER}\" password=\"{password}\";"
        ),
    );
}

/// As it stands in `host:port`.
fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// INT and CTL are authenticated always, on one machine too (kafka.md findings 1 and 2).
fn internal_tls(p: &mut Properties, paths: &KafkaPaths) {
    for listener in ["int", "ctl"] {
        let mut set = |key: &str, value: &dyn ToString| {
            p.set(format!("listener.name.{listener}.ssl.{key}"), value.to_string());
        };
        set("client.auth", &"required");
        set("keystore.type", &"PEM");
        set("keystore.location", &paths.keystore.display());
        set("truststore.type", &"PEM");
        set("truststore.location", &paths.truststore.display());
        set("endpoint.identification.algorithm", &"https");
        set("enabled.protocols", &"TLSv1.3");
        // Only the platform's own names become short: no other subject can end as `sluice-node`.
        set("principal.mapping.rules", &"RULE:^CN=(sluice-[a-z-]+)$/$1/,DEFAULT");
    }
}

fn sasl(p: &mut Properties, spec: &NodeSpec, line: Line, paths: &KafkaPaths) {
    const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    const BEARER: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;";
    let mut set = |key: &str, value: &dyn ToString| p.set(format!("listener.name.sas.{key}"), value.to_string());
    set("sasl.enabled.mechanisms", &"SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER");
    set("scram-sha-256.sasl.jaas.config", &SCRAM);
    set("scram-sha-512.sasl.jaas.config", &SCRAM);
    // OAUTHBEARER is how the gateway asserts who a client is, by a token that only it can sign.
    set("oauthbearer.sasl.jaas.config", &BEARER);
    set("oauthbearer.sasl.server.callback.handler.class", &line.token_validator());
    set("sasl.oauthbearer.jwks.endpoint.url", &paths.token_keys_url());
    set("sasl.oauthbearer.expected.audience", &assertion::audience(&spec.identity));
    set("sasl.oauthbearer.expected.issuer", &assertion::ISSUER);
    // Static, so it is there from the first boot (finding 16).
    p.set("delegation.token.secret.key", spec.kafka.delegation_token_key.expose());
}

fn authorizer(p: &mut Properties, kafka: &KafkaSpec) {
    p.set("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer");
    // False for life: "open" is a set of platform ACLs (finding 3).
    p.set("allow.everyone.if.no.acl.found", false);
    let mut super_users = vec![format!("User:{NODE_USER}")];
    super_users.extend_from_slice(&kafka.super_users);
    p.set("super.users", super_users.join(";"));
}

fn topics(p: &mut Properties, kafka: &KafkaSpec, line: Line) {
    let replicas = kafka.brokers.min(REPLICAS);
    // One replica may be away without stopping acks=all, and none that was acknowledged is lost.
    let in_sync = if replicas >= REPLICAS { 2 } else { 1 };
    // The gateway creates topics, through admission (finding 8).
    p.set("auto.create.topics.enable", false);
    p.set("delete.topic.enable", true);
    p.set("unclean.leader.election.enable", false);
    p.set("num.partitions", 3);
    p.set("default.replication.factor", replicas);
    p.set("min.insync.replicas", in_sync);
    p.set("offsets.topic.num.partitions", 50);
    p.set("offsets.topic.replication.factor", replicas);
    p.set("transaction.state.log.replication.factor", replicas);
    p.set("transaction.state.log.min.isr", in_sync);
    if line.has_share_groups() {
        p.set("share.coordinator.state.topic.replication.factor", replicas);
        p.set("share.coordinator.state.topic.min.isr", in_sync);
        // Voters are the platform's to choose; the broker must not join by itself (finding 5).
        p.set("controller.quorum.auto.join.enable", false);
    }
    // Kafka's own figure: a group that starts together rebalances once.
    p.set("group.initial.rebalance.delay.ms", 3000);
    p.set("remote.log.storage.system.enable", false);
    p.set("log.retention.hours", 72);
    // Space must come back within seconds of a deletion: both static (finding 17).
    p.set("log.retention.check.interval.ms", 10_000);
    p.set("log.segment.delete.delay.ms", 1000);
    p.set("log.segment.bytes", segment_bytes(kafka.disk_bytes));
}

/// A twentieth of a partition's share of the disk, in whole MiB from 16 to 256.
fn segment_bytes(disk_bytes: u64) -> u64 {
    let share = disk_bytes / PARTITIONS_A_BROKER / SEGMENTS_A_PARTITION;
    (share / MIB * MIB).clamp(16 * MIB, 256 * MIB)
}

fn limits(p: &mut Properties, kafka: &KafkaSpec) {
    p.set("message.max.bytes", kafka.max_message_bytes + BATCH_OVERHEAD_BYTES);
    // Static, so constants above any message limit that is sold: 10 MB (product.md §5).
    p.set("replica.fetch.max.bytes", 16 * MIB);
    p.set("replica.fetch.response.max.bytes", 16 * MIB);
    p.set("socket.request.max.bytes", 100 * MIB);
    // A killed broker's partitions move after this (Kafka: 9 s at a beat of 2 s), and it cannot come
    // back before: performance-reliability.md D1 allows a gap of 12 s.
    p.set("broker.session.timeout.ms", 6000);
    p.set("broker.heartbeat.interval.ms", 1000);
    p.set("socket.listen.backlog.size", LISTEN_BACKLOG);
    // The gateway ends idle clients; the connection behind it must never go first.
    p.set("connections.max.idle.ms", 24 * 60 * 60 * 1000);
    p.set("log.cleaner.dedupe.buffer.size", dedupe_buffer_bytes(kafka.jvm.heap_bytes));
}

/// Kafka takes this from the heap at start; its own 128 MiB would be a third of a small one.
fn dedupe_buffer_bytes(heap_bytes: u64) -> u64 {
    (heap_bytes / 16 / MIB * MIB).clamp(8 * MIB, 128 * MIB)
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod tests;
