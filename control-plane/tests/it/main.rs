//! Integration tests of the control plane: one binary, a module a resource, on a real Postgres.
// A fixture that cannot be made ends its test, with the place.
#![allow(clippy::unwrap_used)]

mod access;
mod arrows;
mod audit;
mod conformance;
mod connections;
mod errors;
mod forged_tokens;
mod idempotency;
mod instances;
mod isolation;
mod jobs;
pub(crate) mod local;
mod loops;
mod members;
mod nodes;
mod own_certificates;
mod pki;
mod projects;
mod secrecy;
mod sign_in;
mod statements;
#[allow(dead_code, unused_imports, reason = "what a later module of tests needs")]
mod support;
mod traces;
