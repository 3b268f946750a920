//! The rules of the product, as pure functions.
//!
//! Owns what is allowed, what it costs, where it goes and what it is called. May use the types of `control-plane-api`.
//! Must not touch a database, the network, files, the clock or chance: what comes from there is an argument.

pub mod access;
pub mod access_plan;
pub mod acl;
pub mod actor;
pub mod audit;
pub mod authorization;
pub mod bandwidth;
pub mod capacity;
pub mod catalogue;
pub mod certificate;
pub mod client_paths;
pub mod client_quota;
pub mod connection;
pub mod connection_limits;
pub mod kafka_rights;
pub mod kafka_user;
pub mod names;
pub mod node_spec;
pub mod placement;
pub mod plan;
pub mod price;
pub mod purchase;
pub mod rights;
pub mod states;
pub mod storage;
pub mod token_trust;
pub mod topic;
