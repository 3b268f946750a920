//! Request and response types, typed ids and problem codes of the Sluice REST API.
//!
//! Owns the shapes that clients see, and nothing that decides: no database, no HTTP, no clock.
//! Requests refuse unknown fields; clients must accept new fields and enum values in answers
//! (docs/api-conventions). May use serde and utoipa.

pub mod access;
pub mod acl;
pub mod audit;
pub mod auth;
pub mod bandwidth;
pub mod capacity;
pub mod catalogue;
pub mod certificate;
pub mod client_connections;
pub mod client_quota;
pub mod connection;
pub mod connection_limits;
pub mod id;
pub mod instance;
pub mod job;
pub mod kafka_rights;
pub mod kafka_user;
pub mod metrics;
pub mod money;
pub mod page;
mod patch;
pub mod problem;
pub mod quote;
pub mod tenancy;
pub mod topic;
pub mod usage;
