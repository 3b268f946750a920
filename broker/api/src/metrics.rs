//! Names of the families of metrics that a node tells, by who may see them. A family is named as in OpenMetrics: without
//! the `_total` and `_info` of its samples.

/// Of an instance, to its tenant: what its clients do and meet, and what of it was sold.
pub const FOR_TENANTS: &[&str] = &[
    "sluice_node_bandwidth_delayed_bytes",
    "sluice_node_bandwidth_limit",
    "sluice_node_bandwidth_paused_seconds",
    "sluice_node_capacity_deleted_bytes",
    "sluice_node_certificate_expiry_timestamp_seconds",
    "sluice_node_client_traffic_bytes",
    "sluice_node_connection_permits",
    "sluice_node_connections",
    "sluice_node_connections_accepted",
    "sluice_node_connections_refused",
    "sluice_node_disk_sold_bytes",
    "sluice_node_disk_used_bytes",
    "sluice_node_limit_refusals",
    "sluice_node_logins",
    "sluice_node_produce_refused",
    "sluice_node_ready",
    "sluice_node_requests",
    "sluice_node_requests_denied",
    "sluice_node_topic_quota_held_seconds",
];

/// Beside these, to operators of the platform alone: how the node itself does.
pub const FOR_OPERATORS: &[&str] = &[
    "sluice_node_broker_failures",
    "sluice_node_broker_restarts",
    "sluice_node_build",
    "sluice_node_spec_generation",
    "sluice_node_upstream_connect_failures",
];
