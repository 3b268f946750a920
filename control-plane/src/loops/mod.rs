//! Loops: what must stay true. Each takes no input, compares intent with what is, and acts; a signal only shortens its wait.
//!
//! Loops over the catalogue are cut into shards, and the replicas share these by lease ([`Loops`]). May use domain, store,
//! drivers, nodes and Kafka; changes nothing that a job is changing.

mod certificates;
mod garbage;
pub mod housekeeping;
mod keep;
mod nodes;
mod shards;

pub use certificates::{CertificateMetrics, Certificates};
pub use garbage::Garbage;
pub use keep::{Loops, Pace};
pub use nodes::Nodes;

use crate::{
    clock::Clock,
    domain::node_spec::Site,
    drivers::{DriverError, Platform},
    provisioned::ProvisioningError,
    secrets::Keyring,
    store::{Database, StoreError},
};

/// What loops work with.
#[derive(Debug, Clone)]
pub struct Keeper {
    pub db: Database,
    pub clock: Clock,
    pub platform: Platform,
    pub keyring: Keyring,
    pub site: Site,
    pub certificate_metrics: CertificateMetrics,
    /// Names this replica's leases; unique among replicas and over restarts.
    pub owner: String,
}

/// Why a pass of a loop, or its look at one instance, came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the driver failed")]
    Driver(#[from] DriverError),
    #[error("the instance cannot be read")]
    Provisioned(#[from] ProvisioningError),
}
