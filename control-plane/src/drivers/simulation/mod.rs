//! The driver `simulation`: nodes that exist in memory only.
//!
//! Ships with the product: for development of the console without brokers, for load tests with ten thousand instances,
//! and for tests that script faults. It implements everything that a [`Platform`] has (driver, node control, Kafka) on one
//! [`World`], keeps a ledger of all that was made and removed, and listens on nothing. The world may outlive a control
//! plane: share it among several.

mod driver;
mod faults;
mod kafka;
mod nodes;
mod world;

pub use faults::{Fault, Operation, Severity, When};
pub use world::{Entry, SimulationConfig, World};

use super::Platform;
use std::sync::Arc;

/// A view of a world, for each of the traits.
#[derive(Debug, Clone)]
pub struct Simulation {
    world: Arc<World>,
}

impl Simulation {
    pub fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    /// Everything of a platform, on this world.
    pub fn platform(world: Arc<World>) -> Platform {
        let simulation = Arc::new(Self::new(world));
        Platform { driver: simulation.clone(), nodes: simulation.clone(), kafka: simulation }
    }
}
