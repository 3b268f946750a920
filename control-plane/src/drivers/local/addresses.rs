//! Loopback addresses: one for each broker, so that the ports are the real ones (product.md §5), and another one while its
//! instance has public access.
//!
//! An address is claimed by a file of its name in a directory outside SLUICE_HOME, which all checkouts on the machine
//! share; the file says whose it is. Claims are made and dropped under one lock, and outlive every process: a broker
//! that is down keeps its address. A claim of a SLUICE_HOME that is gone counts for nothing.

use super::{
    files::{absent_is_fine, entries, read_json, write_atomic},
    ports::{self, Obstacle},
};
use crate::{domain::client_paths::Network, drivers::NodeRef};
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

const MUTEX: &str = ".mutex";
/// Second byte of our addresses. 127.0 is everybody's, and from 127.128 on addresses stand for hosts named in ACLs
/// (kafka.md finding 4).
const SUBNETS: std::ops::Range<u8> = 16..112;

#[derive(Debug, thiserror::Error)]
pub(super) enum AddressError {
    #[error("port {port} is taken on every address of this machine by {by}; stop it, or no broker can listen")]
    PortTaken { port: u16, by: String },
    #[error("all addresses of 127.{subnet}.0.0/16 are in use")]
    NoneLeft { subnet: u8 },
    #[error("address {address} belongs to a broker of {}; remove that instance, or this one", home.display())]
    Foreign { address: IpAddr, home: PathBuf },
    #[error("port {port} of {address} is taken by another program")]
    InUse { address: IpAddr, port: u16 },
    #[error("addresses under {} cannot be claimed", path.display())]
    Io { path: PathBuf, source: io::Error },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    home: PathBuf,
    instance: String,
    node_id: i32,
    #[serde(default = "private")]
    network: Network,
}

/// Of claims from before there were others.
fn private() -> Network {
    Network::Private
}

impl Claim {
    fn node(&self) -> Option<NodeRef> {
        Some(NodeRef { instance: self.instance.parse().ok()?, node_id: self.node_id })
    }

    fn is_of(&self, node: NodeRef, network: Network) -> bool {
        self.node() == Some(node) && self.network == network
    }
}

/// The claims on this machine, from the point of view of one SLUICE_HOME.
#[derive(Debug, Clone)]
pub(super) struct AddressBook {
    home: PathBuf,
    claims: PathBuf,
}

impl AddressBook {
    pub(super) fn new(home: PathBuf, claims: PathBuf) -> Self {
        Self { home, claims }
    }

    /// An address on the network for each of `nodes`, in their order: the one it has, else a new one. None of `taken`.
    pub(super) fn choose(
        &self,
        network: Network,
        nodes: &[NodeRef],
        taken: &BTreeSet<IpAddr>,
    ) -> Result<Vec<IpAddr>, AddressError> {
        let _mutex = self.lock().map_err(|e| self.failed(e))?;
        let claims = self.claims().map_err(|e| self.failed(e))?;
        let mut mine = Vec::new();
        let mut occupied = taken.clone();
        for (address, claim) in claims {
            let usable = claim.home == self.home && claim.network == network && !taken.contains(&address);
            match claim.node().filter(|_| usable) {
                Some(node) => mine.push((node, address)),
                None => _ = occupied.insert(address),
            }
        }
        occupied.extend(mine.iter().map(|(_, address)| address));
        let mut candidates = self.candidates();
        let mut chosen = Vec::new();
        for &node in nodes {
            if let Some((_, address)) = mine.iter().find(|(owner, _)| *owner == node) {
                chosen.push(*address);
                continue;
            }
            let address = self.next_free(network, &mut candidates, &occupied)?;
            self.write(network, address, node).map_err(|e| self.failed(e))?;
            chosen.push(address);
        }
        Ok(chosen)
    }

    /// The node has this address, or gets it: after a reboot claims may be gone, where they are kept in memory.
    pub(super) fn hold(&self, node: NodeRef, network: Network, address: IpAddr) -> Result<(), AddressError> {
        let _mutex = self.lock().map_err(|e| self.failed(e))?;
        let claims = self.claims().map_err(|e| self.failed(e))?;
        match claims.into_iter().find(|(claimed, _)| *claimed == address) {
            Some((_, claim)) if claim.home == self.home && claim.is_of(node, network) => Ok(()),
            Some((_, claim)) => Err(AddressError::Foreign { address, home: claim.home }),
            None => self.write(network, address, node).map_err(|e| self.failed(e)),
        }
    }

    pub(super) fn release(&self, node: NodeRef, networks: &[Network]) -> Result<(), AddressError> {
        let _mutex = self.lock().map_err(|e| self.failed(e))?;
        for (address, claim) in self.claims().map_err(|e| self.failed(e))? {
            if claim.home == self.home && networks.iter().any(|&network| claim.is_of(node, network)) {
                absent_is_fine(fs::remove_file(self.path(address))).map_err(|e| self.failed(e))?;
            }
        }
        Ok(())
    }

    /// Nodes of this SLUICE_HOME that have an address.
    pub(super) fn nodes(&self) -> Result<Vec<NodeRef>, AddressError> {
        let claims = self.claims().map_err(|e| self.failed(e))?;
        Ok(claims.into_iter().filter(|(_, claim)| claim.home == self.home).filter_map(|(_, c)| c.node()).collect())
    }

    /// Nothing stops a node from listening there.
    pub(super) fn check_ports(network: Network, address: IpAddr) -> Result<(), AddressError> {
        match ports::obstacle(network, address) {
            Ok(None) => Ok(()),
            Ok(Some(Obstacle::Everywhere { port, by })) => Err(AddressError::PortTaken { port, by }),
            Ok(Some(Obstacle::Address { port })) => Err(AddressError::InUse { address, port }),
            Err(source) => Err(AddressError::Io { path: "/proc/net".into(), source }),
        }
    }

    fn next_free(
        &self,
        network: Network,
        candidates: &mut impl Iterator<Item = IpAddr>,
        occupied: &BTreeSet<IpAddr>,
    ) -> Result<IpAddr, AddressError> {
        for address in candidates {
            if occupied.contains(&address) {
                continue;
            }
            match Self::check_ports(network, address) {
                Ok(()) => return Ok(address),
                Err(AddressError::InUse { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(AddressError::NoneLeft { subnet: self.subnet() })
    }

    /// By SLUICE_HOME, so that two checkouts rarely look at the same address, and each finds its own again.
    fn subnet(&self) -> u8 {
        let hash = Sha256::digest(self.home.as_os_str().as_encoded_bytes());
        SUBNETS.start + hash[0] % (SUBNETS.end - SUBNETS.start)
    }

    fn candidates(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let subnet = self.subnet();
        (0..=255).flat_map(move |c| (1..255).map(move |d| IpAddr::V4(Ipv4Addr::new(127, subnet, c, d))))
    }

    /// Claims that count, of whatever SLUICE_HOME.
    fn claims(&self) -> io::Result<Vec<(IpAddr, Claim)>> {
        let mut claims = Vec::new();
        for path in entries(&self.claims)? {
            let Some(address) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse().ok()) else {
                continue;
            };
            let Some(claim) = read_json::<Claim>(&path)? else { continue };
            if claim.home.is_dir() {
                claims.push((address, claim));
            }
        }
        Ok(claims)
    }

    fn write(&self, network: Network, address: IpAddr, node: NodeRef) -> io::Result<()> {
        let instance = node.instance.to_string();
        let claim = Claim { home: self.home.clone(), instance, node_id: node.node_id, network };
        let path = self.path(address);
        write_atomic(&path, &serde_json::to_vec(&claim)?)?;
        // Others must see whose it is.
        fs::set_permissions(path, Permissions::from_mode(0o644))
    }

    fn path(&self, address: IpAddr) -> PathBuf {
        self.claims.join(address.to_string())
    }

    /// Waits for the lock of all claims; it is held for milliseconds.
    fn lock(&self) -> io::Result<File> {
        make_shared(&self.claims)?;
        let path = self.claims.join(MUTEX);
        let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
        let open = |create| {
            OpenOptions::new().write(create).read(true).create(create).mode(0o644).custom_flags(nofollow).open(&path)
        };
        // Made only when it is missing: the kernel refuses to create over another user's file in a shared directory.
        let file = match open(false) {
            Err(error) if error.kind() == ErrorKind::NotFound => open(true)?,
            other => other?,
        };
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    fn failed(&self, source: io::Error) -> AddressError {
        AddressError::Io { path: self.claims.clone(), source }
    }
}

/// For all users, as /tmp is: everyone may add, nobody may remove another's.
fn make_shared(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o1777)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// `/run/lock/sluice`, else under `runtime` (XDG_RUNTIME_DIR), else in the directory for temporary files.
pub(super) fn default_directory(runtime: Option<&Path>) -> PathBuf {
    let writable =
        |path: &&Path| rustix::fs::access(*path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    let candidates = [Some(Path::new("/run/lock")), runtime];
    let parent = candidates.into_iter().flatten().find(writable).map_or_else(std::env::temp_dir, Path::to_path_buf);
    parent.join("sluice")
}
