//! Paths of the node's control API (HTTPS, mutual TLS) and files of a node directory.

/// `GET`: [`crate::status::NodeStatus`].
pub const STATUS: &str = "/v1/status";
/// `PUT` a [`crate::spec::NodeSpec`]: 200 with the status, 409 when its generation is older than
/// the one in force, 422 when it cannot be served (the last good one stays).
pub const SPEC: &str = "/v1/spec";
/// `POST` a [`crate::connections::ListConnections`]: [`crate::connections::ConnectionList`]. A body rather than a
/// query: client ids are any text.
pub const CONNECTIONS: &str = "/v1/connections";
/// `POST` a [`crate::connections::CloseConnections`]: [`crate::connections::ClosedConnections`].
pub const CLOSE_CONNECTIONS: &str = "/v1/connections/close";
/// `POST` a [`crate::connections::AskUnkept`]: [`crate::connections::Unkept`]. Nothing is changed.
pub const UNKEPT_CONNECTIONS: &str = "/v1/connections/unkept";
/// `GET`: [`crate::partitions::PartitionUse`] of the whole instance, as every node of it knows it; 503 when it can't be told now.
pub const PARTITIONS: &str = "/v1/partitions";
/// `GET`: [`crate::groups::GroupUse`] of the whole instance, likewise.
pub const GROUPS: &str = "/v1/groups";
/// `POST` a [`crate::topics::ChangeTopic`]: [`crate::topics::TopicOutcome`]; 503 where it is not known what became of it.
pub const TOPICS: &str = "/v1/topics";
/// `GET`: 200 while the process lives.
pub const HEALTH: &str = "/healthz";
/// `GET`: 200 when clients can be served, else 503 with the reason.
pub const READY: &str = "/readyz";
/// `GET`: metrics in OpenMetrics text.
pub const METRICS: &str = "/metrics";

/// Paths of the supervisor's unix socket (HTTP, no TLS: the file's mode is the lock).
pub mod supervisor {
    /// `GET`: [`crate::status::BrokerStatus`].
    pub const STATUS: &str = "/status";
    /// `PUT` a [`crate::spec::NodeSpec`]: its Kafka side is brought about; 409 when it is older.
    pub const SPEC: &str = "/spec";
    /// `POST`: stops the broker, then the gateway, answers with the last status when both are gone,
    /// and the supervisor ends. `?deadline_ms=` bounds the broker's graceful part (60 000).
    pub const STOP: &str = "/stop";
    /// `POST`: starts a new gateway beside the old one, and drains the old when the new one serves.
    /// Answers with the status, or 503 when the new one did not get ready: the old one stays.
    pub const REPLACE_GATEWAY: &str = "/gateway/replace";
}

/// Files of a node directory, all owned by the node's user and mode 0600 or 0700.
pub mod files {
    /// Boot copy of the node spec, written by the driver. JSON.
    pub const BOOT_SPEC: &str = "spec.json";
    /// Newest spec that the node accepted, written by the gateway. JSON.
    pub const LAST_GOOD_SPEC: &str = "last-good.json";
    /// The supervisor's unix socket (HTTP): `GET /status`, `PUT /spec`, `POST /stop`, `POST /gateway/replace`.
    pub const SUPERVISOR_SOCKET: &str = "supervisor.sock";
    /// Held with flock(2) by the supervisor for its whole life: locked = alive.
    pub const SUPERVISOR_LOCK: &str = "supervisor.lock";
    /// Who the running JVM and gateway are, so that a new supervisor can adopt them.
    pub const RUN: &str = "run";
    /// Kafka's log directory.
    pub const DATA: &str = "data";
    /// Logs of supervisor, gateway and JVM.
    pub const LOGS: &str = "logs";
    /// `server.properties` and the PEM files it names.
    pub const KAFKA: &str = "kafka";
}
