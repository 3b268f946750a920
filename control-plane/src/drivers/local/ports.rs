//! Whether a node's ports are free on an address, and who has them where not.

use crate::domain::client_paths::Network;
use broker_api::ports;
use std::{
    fs,
    io::{self, ErrorKind},
    net::{IpAddr, TcpListener},
};

/// Every port that a node may listen on at its own address, and at its public one.
const PRIVATE: [u16; 9] = [
    ports::PRIVATE_PLAINTEXT,
    ports::PRIVATE_SASL_SSL,
    ports::CROSS_NETWORK,
    ports::CONTROL,
    ports::INTERNAL,
    ports::CONTROLLER,
    ports::UPSTREAM_PLAINTEXT,
    ports::UPSTREAM_SASL,
    ports::REPLICATION,
];
const PUBLIC: [u16; 2] = [ports::PUBLIC_PLAINTEXT, ports::PUBLIC_SASL_SSL];

/// What stands in the way of a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Something listens on this very address; another address may do.
    Address { port: u16 },
    /// Something listens on every address, so no node can run; who it is, as far as can be told.
    Everywhere { port: u16, by: String },
}

/// None when all ports of the network can be listened on.
pub(super) fn obstacle(network: Network, address: IpAddr) -> io::Result<Option<Obstacle>> {
    let ports: &[u16] = match network {
        Network::Private => &PRIVATE,
        Network::Public => &PUBLIC,
    };
    for &port in ports {
        match TcpListener::bind((address, port)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return Ok(Some(match wildcard_listener(port)? {
                    Some(inode) => Obstacle::Everywhere { port, by: owner_of_socket(inode) },
                    None => Obstacle::Address { port },
                }));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Inode of the socket that listens on `port` of every address.
fn wildcard_listener(port: u16) -> io::Result<Option<u64>> {
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = match fs::read_to_string(table) {
            // No IPv6 here.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other?,
        };
        let found = table.lines().skip(1).find_map(|line| listens_everywhere(line, port));
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Fields of proc(5): `sl local_address rem_address st … uid timeout inode`.
fn listens_everywhere(line: &str, wanted: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (host, port) = fields.get(1)?.split_once(':')?;
    let everywhere = host.bytes().all(|digit| digit == b'0');
    let port = u16::from_str_radix(port, 16).ok()?;
    (everywhere && port == wanted && *fields.get(3)? == LISTEN).then(|| fields.get(9)?.parse().ok()).flatten()
}

/// `name (pid N)`, or that it cannot be told: another user's sockets cannot be seen.
fn owner_of_socket(inode: u64) -> String {
    let wanted = format!("socket:[{inode}]");
    let owner = fs::read_dir("/proc").into_iter().flatten().flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut descriptors = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        descriptors.find(|d| fs::read_link(d.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str()))?;
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        Some(format!("{} (pid {pid})", name.trim()))
    });
    owner.unwrap_or_else(|| "a program of another user".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listener_on_every_address_and_this_port_counts() {
        let line = |local: &str, state: &str| format!("   0: {local} 00000000:0000 {state} 0:0 0:0 0 1000 0 4711 1");
        // 9092 is 0x2384.
        assert_eq!(listens_everywhere(&line("00000000:2384", "0A"), 9092), Some(4711));
        assert_eq!(listens_everywhere(&line("00000000000000000000000000000000:2384", "0A"), 9092), Some(4711));
        assert_eq!(listens_everywhere(&line("0100007F:2384", "0A"), 9092), None);
        assert_eq!(listens_everywhere(&line("00000000:2385", "0A"), 9092), None);
        assert_eq!(listens_everywhere(&line("00000000:2384", "01"), 9092), None);
        assert_eq!(listens_everywhere("sl local_address", 9092), None);
    }

    #[test]
    fn whoever_listens_on_every_address_is_named() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let inode = wildcard_listener(listener.local_addr().unwrap().port()).unwrap().unwrap();
        assert!(owner_of_socket(inode).contains(&format!("(pid {})", std::process::id())));
    }
}
