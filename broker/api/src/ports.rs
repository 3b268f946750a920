//! Ports of a broker node. Client ports are those of product.md §5; the others are ours.

/// Clients on the private network, plaintext (product.md §5).
pub const PRIVATE_PLAINTEXT: u16 = 9092;
/// Clients on the private network, SASL over TLS (product.md §5).
pub const PRIVATE_SASL_SSL: u16 = 9093;
/// Clients on the public network, plaintext (product.md §5).
pub const PUBLIC_PLAINTEXT: u16 = 9094;
/// Clients on the public network, SASL over TLS (product.md §5).
pub const PUBLIC_SASL_SSL: u16 = 9095;
/// Clients of other networks, through endpoints (product.md §5).
pub const CROSS_NETWORK: u16 = 9011;
/// Kafka's listener `INT`, for the platform's own questions and, where brokers do not share a machine, for replication: TLS
/// with client certificates of the instance's internal CA.
pub const INTERNAL: u16 = 9190;
/// Kafka's controller listener `CTL`: TLS with client certificates of the instance's internal CA.
pub const CONTROLLER: u16 = 9191;
/// Kafka's loopback listener `PLN`, for the gateway only: what plaintext clients speak arrives here.
pub const UPSTREAM_PLAINTEXT: u16 = 9192;
/// Kafka's loopback listener `SAS`, for the gateway only: SASL without TLS.
pub const UPSTREAM_SASL: u16 = 9193;
/// Kafka's loopback listener `REP`, for replication between brokers of one machine: a login, no TLS (docs/adr/0003).
pub const REPLICATION: u16 = 9194;
/// The node's control API: HTTPS with client certificates of the platform's internal CA.
pub const CONTROL: u16 = 9180;
