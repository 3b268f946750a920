//! The names that a JVM may look up, where it needs none: a hosts file instead of the machine's resolver. Pure.
//!
//! Kafka asks for the name of its own address at each SASL handshake (`SaslServerAuthenticator` calls
//! `InetAddress.getHostName`), on the network thread. An address without a reverse record costs tens of milliseconds
//! where DNS is quick, and where it is down every login, and whatever shares the thread, waits until the resolver gives up.

use broker_api::spec::KafkaSpec;
use std::net::{IpAddr, SocketAddr};

/// The file, for a node whose peers are all told by address. Where one has a name, the resolver stays.
pub fn file(kafka: &KafkaSpec) -> Option<String> {
    let internal: IpAddr = kafka.internal_host.parse().ok()?;
    if !kafka.quorum_bootstrap.iter().all(|peer| peer.parse::<SocketAddr>().is_ok()) {
        return None;
    }
    let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
    let mut own = vec![kafka.bind, internal];
    own.dedup();
    for address in own {
        // Its name is its address: what `getHostName` says of one that has no name.
        text.push_str(&format!("{address} {address}\n"));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{KAFKA_NEW, TestInstance};

    #[test]
    fn a_node_among_addresses_knows_itself_and_asks_nobody() {
        let mut kafka = TestInstance::fixed(KAFKA_NEW, 3).spec(1).kafka;
        assert!(file(&kafka).is_some_and(|text| text.contains(&format!("{0} {0}\n", kafka.bind))));
        kafka.quorum_bootstrap.push("orders-2.brokers:9091".into());
        assert_eq!(file(&kafka), None, "a peer with a name needs the resolver");
    }
}
