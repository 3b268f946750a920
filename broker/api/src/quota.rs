//! Quotas of clients: Kafka's words for them, and which are the platform's.
//!
//! One place for the gateway (what clients may do) and the control plane (what the REST API may do): two rules would be
//! a hole. Pure; the words are those of Kafka's protocol (KIP-13, KIP-124, KIP-546, KIP-599, KIP-612).

use crate::acl::is_platform_user;

/// Kinds of an entity's parts.
pub mod entity {
    pub const USER: &str = "user";
    pub const CLIENT_ID: &str = "client-id";
    /// Not given to Kafka, which sees the gateways' addresses only: they keep its rules ([`crate::spec::ConnectionRates`]).
    pub const IP: &str = "ip";
    /// Unknown to Kafka: the gateways keep these rules too ([`crate::spec::TopicRates`]).
    pub const TOPIC: &str = "topic";
}

/// What is limited.
pub mod key {
    pub const PRODUCER_BYTE_RATE: &str = "producer_byte_rate";
    pub const CONSUMER_BYTE_RATE: &str = "consumer_byte_rate";
    pub const REQUEST_PERCENTAGE: &str = "request_percentage";
    pub const CONTROLLER_MUTATION_RATE: &str = "controller_mutation_rate";
    /// Of an address.
    pub const CONNECTION_CREATION_RATE: &str = "connection_creation_rate";
    /// What Kafka keeps.
    pub const ALL: [&str; 4] = [PRODUCER_BYTE_RATE, CONSUMER_BYTE_RATE, REQUEST_PERCENTAGE, CONTROLLER_MUTATION_RATE];
}

/// Who of the platform asks brokers for something: brokers with their gateways, and the control plane.
pub const PLATFORM_USERS: [&str; 2] = ["sluice-node", "sluice-control-plane"];
/// So much that it never holds anybody back, as a figure that Kafka takes for every key.
pub const BOUNDLESS: f64 = 1e15;

/// Whether the rule of an entity with this part is hidden from tenants and can't be made or removed by them.
pub fn is_platform(kind: &str, name: Option<&str>) -> bool {
    kind == entity::USER && name.is_some_and(is_platform_user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_principal_of_the_platform_is_out_of_tenants_reach_and_no_default_is() {
        assert!(PLATFORM_USERS.iter().all(|user| is_platform(entity::USER, Some(user))));
        assert!(!is_platform(entity::USER, None) && !is_platform(entity::USER, Some("shop")));
        assert!(!is_platform(entity::CLIENT_ID, Some("sluice-node")), "a client may call itself anything");
    }
}
