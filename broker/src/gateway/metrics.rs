//! What the gateway counts. Names start with `sluice_node_`; label values come from closed lists,
//! so that no client can make series (style.md 27).
//!
//! Counters on the hot path are resolved once per connection or once per API, never per request.

use super::admission::counted::Counted;
use super::table;
use broker_api::spec::AccessPath;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt::{self, Write};
use std::sync::atomic::AtomicU64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PathLabel(pub(super) AccessPath);

impl EncodeLabelValue for PathLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.0.as_str())
    }
}

/// A closed list of label values with their spelling.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum $name { $($variant),+ }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),+];
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                encoder.write_str(match self { $(Self::$variant => $text),+ })
            }
        }
    };
}

labels!(
    /// Why a connection was not served, or ended before its client wanted.
    Refusal {
        TooMany = "too-many-connections",
        TooManyOfIp = "too-many-connections-of-ip",
        TooManyOfInstance = "too-many-connections-of-instance",
        TooManyStrangers = "too-many-not-logged-in",
        TooFastOfIp = "connection-rate-of-ip",
        ProxyHeader = "proxy-header",
        TlsHandshake = "tls-handshake",
        TlsOnPlainPort = "tls-on-plain-port",
        LoginTimeout = "login-timeout",
        Idle = "idle",
        Upstream = "upstream",
        Protocol = "protocol",
        UserDisabled = "user-disabled",
        AddressDenied = "address-denied",
        LoginEnded = "login-ended",
        LoginExpired = "login-expired",
        CertificateDistrusted = "certificate-distrusted",
        MechanismDisabled = "mechanism-disabled",
        PathClosed = "path-closed",
        Kicked = "kicked",
        DiskFull = "disk-full",
    }
);
labels!(
    Direction { In = "in", Out = "out" }
);
labels!(
    Mechanism { Plain = "plain", ScramSha256 = "scram-sha-256", ScramSha512 = "scram-sha-512", Bearer = "oauthbearer", Certificate = "mtls", Unknown = "unknown" }
);
labels!(
    LoginResult { Accepted = "accepted", Refused = "refused", Failed = "failed" }
);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByPath {
    pub(super) path: PathLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByRefusal {
    pub(super) path: PathLabel,
    pub(super) reason: Refusal,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByDirection {
    pub(super) path: PathLabel,
    pub(super) direction: Direction,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByWay {
    pub(super) direction: Direction,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByLogin {
    pub(super) mechanism: Mechanism,
    pub(super) result: LoginResult,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByApi {
    pub(super) api: &'static str,
}

impl EncodeLabelValue for Counted {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.plural())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByLimit {
    limit: Counted,
}

/// Of one direction of the bandwidth.
#[derive(Debug, Clone)]
pub(super) struct BandwidthMetrics {
    pub(super) limit: Gauge,
    /// Seconds, of all connections together.
    pub(super) paused: Counter<f64, AtomicU64>,
    /// Bytes that had to wait.
    pub(super) delayed: Counter,
}

/// Cheap to clone: every clone counts into the same series.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    pub(super) connections: Family<ByPath, Gauge>,
    /// How many may be open here, of the instance's total.
    pub(super) connection_permits: Gauge,
    pub(super) accepted: Family<ByPath, Counter>,
    pub(super) refused: Family<ByRefusal, Counter>,
    pub(super) bytes: Family<ByDirection, Counter>,
    pub(super) logins: Family<ByLogin, Counter>,
    pub(super) upstream_failures: Family<ByPath, Counter>,
    full: Family<ByLimit, Counter>,
    bandwidth_limit: Family<ByWay, Gauge>,
    paused: Family<ByWay, Counter<f64, AtomicU64>>,
    delayed: Family<ByWay, Counter>,
    topic_waits: Family<ByWay, Counter<f64, AtomicU64>>,
    /// When the certificate that clients are shown ends, seconds since 1970.
    pub(super) certificate_ends_at: Gauge,
    /// By [`table::index`].
    pub(super) requests: Vec<Counter>,
    /// Requests of which at least a part was refused, by [`table::index`].
    pub(super) denied: Vec<Counter>,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("sluice_node");
        let requests = Family::<ByApi, Counter>::default();
        let denied = Family::<ByApi, Counter>::default();
        let by_api = |family: &Family<ByApi, Counter>| {
            table::names().map(|api| family.get_or_create_owned(&ByApi { api })).collect()
        };
        let metrics = Self {
            connections: Family::default(),
            connection_permits: Gauge::default(),
            accepted: Family::default(),
            refused: Family::default(),
            bytes: Family::default(),
            logins: Family::default(),
            upstream_failures: Family::default(),
            full: Family::default(),
            bandwidth_limit: Family::default(),
            paused: Family::default(),
            delayed: Family::default(),
            topic_waits: Family::default(),
            certificate_ends_at: Gauge::default(),
            requests: by_api(&requests),
            denied: by_api(&denied),
        };
        registry.register("connections", "Open client connections", metrics.connections.clone());
        registry.register(
            "connection_permits",
            "Client connections that this node may have open now, of the instance's total; 0 where there is none",
            metrics.connection_permits.clone(),
        );
        registry.register("connections_accepted", "Client connections accepted", metrics.accepted.clone());
        registry.register(
            "connections_refused",
            "Client connections refused or ended by the gateway, by reason",
            metrics.refused.clone(),
        );
        registry.register_with_unit(
            "client_traffic",
            "Bytes from clients (in) and to clients (out), inside TLS",
            Unit::Bytes,
            metrics.bytes.clone(),
        );
        registry.register("logins", "Logins by mechanism and result", metrics.logins.clone());
        registry.register(
            "upstream_connect_failures",
            "Connections to Kafka's loopback listeners that could not be made",
            metrics.upstream_failures.clone(),
        );
        registry.register(
            "limit_refusals",
            "Partitions and consumer groups refused because the instance has all that it may have, by limit",
            metrics.full.clone(),
        );
        registry.register(
            "bandwidth_limit",
            "Bytes a second that records may take, from clients (in) and to clients (out); 0 is no limit",
            metrics.bandwidth_limit.clone(),
        );
        registry.register_with_unit(
            "bandwidth_paused",
            "Time that connections waited for bandwidth, all together",
            Unit::Seconds,
            metrics.paused.clone(),
        );
        registry.register_with_unit(
            "bandwidth_delayed",
            "Bytes of records that waited for bandwidth",
            Unit::Bytes,
            metrics.delayed.clone(),
        );
        registry.register_with_unit(
            "topic_quota_held",
            "Time that requests were held for quotas of topics, all together",
            Unit::Seconds,
            metrics.topic_waits.clone(),
        );
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the certificate that clients are shown ends, seconds since 1970",
            metrics.certificate_ends_at.clone(),
        );
        registry.register("requests", "Requests by API", requests);
        registry.register("requests_denied", "Requests refused in whole or in part by the gateway, by API", denied);
        metrics.begin();
        metrics
    }

    /// Series that are known beforehand are there from the beginning, at 0: of one that appears with its first event nobody
    /// sees that it rose.
    fn begin(&self) {
        for limit in [Counted::Partitions, Counted::Groups] {
            drop(self.full.get_or_create(&ByLimit { limit }));
        }
        for &mechanism in Mechanism::ALL {
            for &result in LoginResult::ALL {
                drop(self.logins.get_or_create(&ByLogin { mechanism, result }));
            }
        }
    }

    /// Begins the series of a path that is opened.
    pub(super) fn open(&self, path: AccessPath) {
        let path = PathLabel(path);
        drop(self.connections.get_or_create(&ByPath { path }));
        drop(self.accepted.get_or_create(&ByPath { path }));
        drop(self.upstream_failures.get_or_create(&ByPath { path }));
        for &reason in Refusal::ALL {
            drop(self.refused.get_or_create(&ByRefusal { path, reason }));
        }
        for &direction in Direction::ALL {
            drop(self.bytes.get_or_create(&ByDirection { path, direction }));
        }
    }

    pub(super) fn refuse(&self, path: AccessPath, reason: Refusal) {
        self.refused.get_or_create(&ByRefusal { path: PathLabel(path), reason }).inc();
    }

    /// Counts what was refused for want of room.
    pub(super) fn refuse_full(&self, limit: Counted, items: u64) {
        if items > 0 {
            self.full.get_or_create(&ByLimit { limit }).inc_by(items);
        }
    }

    pub(super) fn bandwidth(&self, direction: Direction) -> BandwidthMetrics {
        let way = ByWay { direction };
        BandwidthMetrics {
            limit: self.bandwidth_limit.get_or_create_owned(&way),
            paused: self.paused.get_or_create_owned(&way),
            delayed: self.delayed.get_or_create_owned(&way),
        }
    }

    /// Of quotas of topics.
    pub(super) fn topic_waits(&self, direction: Direction) -> Counter<f64, AtomicU64> {
        self.topic_waits.get_or_create_owned(&ByWay { direction })
    }

    pub(super) fn login(&self, mechanism: Mechanism, result: LoginResult) {
        self.logins.get_or_create(&ByLogin { mechanism, result }).inc();
    }

    pub(super) fn request(&self, key: i16) {
        if let Some(counter) = table::index(key).and_then(|index| self.requests.get(index)) {
            counter.inc();
        }
    }

    pub(super) fn deny(&self, key: i16) {
        if let Some(counter) = table::index(key).and_then(|index| self.denied.get(index)) {
            counter.inc();
        }
    }
}
