//! Catalogue, quotes, instances and their jobs, through the API, on simulated brokers.

mod access;
mod acls;
mod capacity;
mod catalogue;
mod certificates;
mod change;
mod client_connections;
mod client_quotas;
mod cloud;
mod connection;
mod connection_limits;
mod failed;
mod jobs;
mod kafka_users;
mod list;
mod metrics;
mod mtls;
mod purchase;
mod refusals;
mod replicas;
mod topics;
mod usage;
