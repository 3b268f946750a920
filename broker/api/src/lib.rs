//! What the control plane and a broker node say to each other.
//!
//! Owns the shapes only: [`spec::NodeSpec`] (desired state, pushed down), [`status::NodeStatus`]
//! (observed state, reported up), [`refusal::Refusal`] (why not), [`metrics`] (what is counted), the [`paths`] and [`ports`] they travel by,
//! and the rules of which access bindings, topics and quotas are the platform's ([`acl`], [`quota`]). May use serde.
//! Knows no spec names, prices or tenants' plans: the numbers in a spec are already resolved.

pub mod acl;
pub mod build;
pub mod connections;
pub mod groups;
pub mod metrics;
pub mod partitions;
pub mod paths;
pub mod ports;
pub mod quota;
pub mod refusal;
pub mod secret;
pub mod spec;
pub mod status;
pub mod topics;
