//! The Sluice broker node.

pub mod gateway;
