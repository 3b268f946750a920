//! The job engine and the workflows, on the simulated platform.

mod house;
mod instances;
