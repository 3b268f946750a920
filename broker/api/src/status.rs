//! Observed state of one broker node.

use serde::{Deserialize, Serialize};

/// What `GET /v1/status` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    pub instance: String,
    pub node_id: i32,
    /// Generation of the newest spec that was accepted, and that is served now.
    pub generation: u64,
    pub state: NodeState,
    /// Why the state is what it is, in a sentence without secrets; empty when ready.
    pub reason: String,
    pub broker: BrokerStatus,
    pub gateway: GatewayStatus,
    /// The supervisor does not answer, and `broker` is what it said last.
    #[serde(default)]
    pub supervisor_away: bool,
    /// Version of the node program.
    pub version: String,
    /// None until the disk was looked at, and from a node that does not look yet.
    #[serde(default)]
    pub capacity: Option<CapacityStatus>,
}

/// How full the disk that was sold is, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityStatus {
    /// What the log directory takes.
    pub used_bytes: u64,
    /// What was sold.
    pub disk_bytes: u64,
    pub state: CapacityState,
    /// Since when it is in this state, ms since 1970.
    pub since_ms: i64,
    /// Why, in a sentence; empty while there is room.
    pub reason: String,
    /// Of the last ten minutes; negative while it shrinks.
    pub growth_bytes_per_second: i64,
    /// Until the threshold, if it grows on like this.
    pub full_in_seconds: Option<u64>,
    /// Dropped by `auto-delete` since the gateway began.
    pub deleted_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityState {
    /// There is room.
    Normal,
    /// The oldest data is being dropped; producing goes on.
    Deleting,
    /// Produce is refused; consume goes on.
    ProduceLimited,
}

/// ```text
/// starting ──► ready ──► stopping ──► stopped
///    │  ▲        │ ▲
///    ▼  └────────┘ │
///  failed ─────────┘  (a later start of the JVM succeeded)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// Formatting, or the JVM is not yet serving.
    Starting,
    /// The broker answers and the gateway serves clients.
    Ready,
    /// The JVM ended several times in a row; it is tried again with back-off.
    Failed,
    Stopping,
    Stopped,
}

/// What the supervisor says of the JVM; also what `GET /status` on its unix socket answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerStatus {
    pub state: BrokerState,
    pub pid: Option<u32>,
    /// Starts after the first, since the supervisor began.
    pub restarts: u32,
    /// Exits in a row without having served.
    pub failures: u32,
    /// How the last JVM ended, with the last lines of its log that tell why; empty when it never did.
    pub last_exit: String,
    pub kafka_version: String,
    /// Instance, node and nonce: what a driver checks before it adopts the process.
    pub identity: ProcessIdentity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerState {
    Formatting,
    Starting,
    Running,
    BackingOff,
    Stopping,
    Stopped,
}

/// Who a process is, so that a recycled pid is never mistaken for it (kafka.md finding 24).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub instance: String,
    pub node_id: i32,
    /// Random text given by the driver in `SLUICE_NODE_NONCE`.
    pub nonce: String,
    /// Supervisor's pid.
    pub pid: u32,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Field 22 of `/proc/PID/stat`, clock ticks since boot.
    pub start_ticks: u64,
    /// Gateway's pid, when the supervisor runs it.
    pub gateway_pid: Option<u32>,
    /// Build that the supervisor runs ([`crate::build`]); empty for one that does not tell yet.
    #[serde(default)]
    pub build: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatus {
    pub pid: u32,
    /// Build that the gateway runs ([`crate::build`]); empty for one that does not tell yet.
    #[serde(default)]
    pub build: String,
    /// Open client connections.
    pub connections: u32,
    /// Listeners that accept now, by path.
    pub listening: Vec<String>,
    /// Serial number (hex) of the certificate shown to clients.
    pub certificate_serial: String,
    /// None from a node that does not measure it yet.
    #[serde(default)]
    pub bandwidth: Option<BandwidthStatus>,
}

/// What records take of a broker's bandwidth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BandwidthStatus {
    /// From clients.
    pub ingress: DirectionStatus,
    /// To clients.
    pub egress: DirectionStatus,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectionStatus {
    /// None: no limit.
    pub limit_bytes_per_second: Option<u64>,
    /// Mean of about the last 10 seconds.
    pub bytes_per_second: u64,
    /// That connections waited for bandwidth, all together, since the gateway began.
    pub paused_ms: u64,
}
