//! The rules of the product, pure: what may be done, what follows, what it costs.
//!
//! May use control-plane-api, broker-api and `core`-like libraries. Must not use a database, HTTP, a clock, random
//! numbers or tokio: what depends on them is an argument.

pub mod actor;
pub mod rights;
