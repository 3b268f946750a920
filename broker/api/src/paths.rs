//! Paths of the node's control API (HTTPS, mutual TLS) and files of a node directory.

/// `GET`: [`crate::status::NodeStatus`].
pub const STATUS: &str = "/v1/status";
/// `PUT` a [`crate::spec::NodeSpec`]: 200 with the status, 409 when its generation is older than
/// the one in force, 422 when it cannot be served (the last good one stays).
pub const SPEC: &str = "/v1/spec";
/// `GET`: 200 while the process lives.
pub const HEALTH: &str = "/healthz";
/// `GET`: 200 when clients can be served, else 503 with the reason.
pub const READY: &str = "/readyz";
/// `GET`: metrics in OpenMetrics text.
pub const METRICS: &str = "/metrics";

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
    /// Kafka's log directory.
    pub const DATA: &str = "data";
    /// Logs of supervisor, gateway and JVM.
    pub const LOGS: &str = "logs";
    /// `server.properties` and the PEM files it names.
    pub const KAFKA: &str = "kafka";
}
