//! The Sluice control plane.
//!
//! ```text
//! http ──► app ──► domain, store, jobs (enqueue), kafka, nodes
//! jobs::workflow, loops ──► domain, store, drivers, kafka, nodes, pki
//! drivers ──► domain
//! nodes, kafka ──► pki
//! ```
//! `tests/it/arrows.rs` fails on a `use` that is not an arrow of docs/architecture.

pub mod app;
pub mod auth;
pub mod clock;
pub mod config;
pub mod domain;
pub mod drivers;
pub mod http;
pub mod jobs;
pub mod kafka;
pub mod loops;
pub mod nodes;
pub mod pki;
pub mod provisioned;
pub mod secrets;
pub mod store;
pub mod telemetry;
