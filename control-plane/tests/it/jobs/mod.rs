//! The job engine and the workflows, on the simulated platform.

mod cancel;
mod crash;
mod engine;
pub(crate) mod house;
mod instances;
mod patience;
mod sabotage;
mod speed;
