//! Integration tests: one binary, a module a resource.
// A fixture that cannot be made ends its test, with the place.
#![allow(clippy::unwrap_used)]

mod kafka;
mod nodes;
mod pki;
