//! Integration tests of the control plane: one binary, a module a resource, on a real Postgres.
// A fixture that cannot be made ends its test, with the place.
#![allow(clippy::unwrap_used)]

mod conformance;
mod instances;
mod jobs;
mod kafka;
pub(crate) mod local;
mod loops;
mod nodes;
mod pki;
mod projects;
#[allow(dead_code, unused_imports, reason = "what a later module of tests needs")]
mod support;
