//! The paths that clients come by: which are open, on which address and port, and what brokers are called there. Pure.
//!
//! The one place that knows what a path of `broker-api` is to a tenant: node specs, certificates, connection guides and lists
//! of addresses are all made from what stands here.

use broker_api::{ports, spec::AccessPath};
use control_plane_api::{access::Access, instance::Bootstrap};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
};

/// Where a broker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub node_id: i32,
    /// On the instance's own network.
    pub private: IpAddr,
    /// On the public network, while it has one there.
    pub public: Option<IpAddr>,
}

/// Where addresses of brokers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The instance's own.
    Private,
    Public,
}

impl Network {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
        }
    }
}

/// Port that clients of a path come in by (product.md §5).
pub fn port(path: AccessPath) -> u16 {
    match path {
        AccessPath::PrivatePlaintext => ports::PRIVATE_PLAINTEXT,
        AccessPath::PrivateSaslSsl => ports::PRIVATE_SASL_SSL,
        AccessPath::PublicPlaintext => ports::PUBLIC_PLAINTEXT,
        AccessPath::PublicSaslSsl => ports::PUBLIC_SASL_SSL,
        AccessPath::CrossNetwork => ports::CROSS_NETWORK,
    }
}

/// Whether the tenant wants the path open.
pub fn is_on(path: AccessPath, access: &Access) -> bool {
    match path {
        AccessPath::PrivatePlaintext => access.private_plaintext,
        AccessPath::PrivateSaslSsl => access.private_sasl_ssl,
        AccessPath::PublicPlaintext => access.public_plaintext,
        AccessPath::PublicSaslSsl => access.public_sasl_ssl,
        AccessPath::CrossNetwork => access.cross_network,
    }
}

/// The paths that are on and that every broker has an address for.
pub fn open<'a>(access: &'a Access, places: &'a [Place]) -> impl Iterator<Item = AccessPath> + 'a {
    let ready = |path: AccessPath| !path.is_public() || places.iter().all(|place| place.public.is_some());
    AccessPath::ALL.into_iter().filter(move |path| is_on(*path, access) && ready(*path))
}

/// Where the broker listens for clients of the path; `None` while it has no address there.
pub fn bind(path: AccessPath, place: &Place) -> Option<SocketAddr> {
    let address = if path.is_public() { place.public? } else { place.private };
    Some(SocketAddr::new(address, port(path)))
}

/// Host and port that clients of the path are told for the broker.
pub fn advertised(path: AccessPath, access: &Access, place: &Place) -> Option<(String, u16)> {
    if path == AccessPath::CrossNetwork
        && let Some(told) = access.cross_network_addresses.iter().find(|told| told.broker_id == place.node_id)
    {
        return Some((told.host.clone(), told.port));
    }
    bind(path, place).map(|address| (address.ip().to_string(), address.port()))
}

/// Networks that may come by the path, besides what holds for all paths; none: any.
pub fn sources(path: AccessPath, access: &Access) -> Option<Vec<String>> {
    let of_accounts = || access.endpoint_accounts.iter().flat_map(|account| account.ips.iter().cloned()).collect();
    (path == AccessPath::CrossNetwork).then(of_accounts)
}

/// Every name that a certificate for clients must cover: what brokers are called on the paths, private addresses first.
pub fn names(access: &Access, places: &[Place]) -> Vec<String> {
    let private = places.iter().map(|place| place.private.to_string());
    let public = places.iter().filter_map(|place| place.public).map(|address| address.to_string());
    let told = access.cross_network_addresses.iter().filter(|_| access.cross_network).map(|told| told.host.clone());
    let mut seen = HashSet::new();
    private.chain(public).chain(told).filter(|name| seen.insert(name.clone())).collect()
}

/// What clients of a path begin with: `host:port,…` of every broker; empty while the path is closed.
pub fn bootstrap(path: AccessPath, access: &Access, places: &[Place]) -> String {
    if !open(access, places).any(|open| open == path) {
        return String::new();
    }
    let server = |place| advertised(path, access, place).map(|(host, port)| host_and_port(&host, port));
    places.iter().filter_map(server).collect::<Vec<_>>().join(",")
}

/// What clients begin with, by path.
pub fn bootstraps(access: &Access, places: &[Place]) -> Bootstrap {
    let by = |path| bootstrap(path, access, places);
    Bootstrap {
        private_plaintext: by(AccessPath::PrivatePlaintext),
        private_sasl_ssl: by(AccessPath::PrivateSaslSsl),
        public_plaintext: by(AccessPath::PublicPlaintext),
        public_sasl_ssl: by(AccessPath::PublicSaslSsl),
        cross_network: by(AccessPath::CrossNetwork),
    }
}

fn host_and_port(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_plane_api::access::BrokerAddress;

    fn places(public: bool) -> Vec<Place> {
        let place = |node_id| Place {
            node_id,
            private: format!("10.0.0.{node_id}").parse().unwrap(),
            public: public.then(|| format!("203.0.113.{node_id}").parse().unwrap()),
        };
        (1..=3).map(place).collect()
    }

    fn everything() -> Access {
        let told = |broker_id| BrokerAddress {
            broker_id,
            host: format!("kafka-{broker_id}.acme.example"),
            port: 9100 + u16::try_from(broker_id).unwrap(),
        };
        Access {
            public_plaintext: true,
            public_sasl_ssl: true,
            cross_network: true,
            cross_network_addresses: (1..=3).map(told).collect(),
            ..Access::default()
        }
    }

    #[test]
    fn every_path_has_its_own_port_and_an_address_for_each_broker() {
        let shown = bootstraps(&everything(), &places(true));
        assert_eq!(shown.private_plaintext, "10.0.0.1:9092,10.0.0.2:9092,10.0.0.3:9092");
        assert_eq!(shown.private_sasl_ssl, "10.0.0.1:9093,10.0.0.2:9093,10.0.0.3:9093");
        assert_eq!(shown.public_plaintext, "203.0.113.1:9094,203.0.113.2:9094,203.0.113.3:9094");
        assert_eq!(shown.public_sasl_ssl, "203.0.113.1:9095,203.0.113.2:9095,203.0.113.3:9095");
        let told = "kafka-1.acme.example:9101,kafka-2.acme.example:9102,kafka-3.acme.example:9103";
        assert_eq!(shown.cross_network, told);
    }

    #[test]
    fn a_public_path_opens_when_every_broker_has_a_public_address() {
        let (access, mut places) = (everything(), places(true));
        places[2].public = None;
        let open: Vec<_> = open(&access, &places).collect();
        assert_eq!(open, [AccessPath::PrivatePlaintext, AccessPath::PrivateSaslSsl, AccessPath::CrossNetwork]);
        assert_eq!(bootstrap(AccessPath::PublicSaslSsl, &access, &places), "");
    }

    #[test]
    fn a_certificate_must_cover_each_name_once_and_those_of_a_closed_path_not() {
        let mut access = everything();
        access.cross_network_addresses[1].host = "kafka-1.acme.example".into();
        let names = names(&access, &places(true));
        assert_eq!(names.len(), 3 + 3 + 2, "{names:?}");
        assert!(names.starts_with(&["10.0.0.1".to_owned()]));
        access.cross_network = false;
        assert_eq!(super::names(&access, &places(false)).len(), 3);
    }

    #[test]
    fn without_addresses_of_endpoints_clients_are_told_the_private_ones() {
        let access = Access { cross_network: true, ..Access::default() };
        let shown = bootstrap(AccessPath::CrossNetwork, &access, &places(false));
        assert_eq!(shown, "10.0.0.1:9011,10.0.0.2:9011,10.0.0.3:9011");
        assert_eq!(host_and_port("fd00::1", 9011), "[fd00::1]:9011");
    }
}
