//! The only place that speaks SQL.
//!
//! Postgres is the only state of the control plane. One file an aggregate, each with private row structs; every function
//! takes a transaction that [`Database`] opened: a [`TenantTx`] carries the [`Scope`] that its rows must belong to, and
//! row-level security refuses the others a second time; a [`SystemTx`] sees all organisations and serves
//! sign-in, jobs, loops and operators. Statements are literals at the call (or `const … : &str`), so that
//! `tests/it/statements.rs` can prepare each of them on a migrated database. Knows no HTTP, no rights, no drivers.

pub mod api_keys;
pub mod audit;
pub mod brokers;
pub mod capacity;
pub mod catalogue;
pub mod certificates;
pub mod data_keys;
pub mod database;
pub mod error;
pub mod failed_creations;
pub mod idempotency;
pub mod instance_list;
pub mod instances;
pub mod jobs;
pub mod jobs_view;
pub mod kafka_users;
pub mod loops;
pub mod members;
pub mod orders;
pub mod organisations;
pub mod projects;
pub mod provisioning;
pub mod quotes;
pub mod scope;
pub mod sealed;
pub mod service_accounts;
pub mod sessions;
pub mod sign_in_attempts;
pub mod signing_keys;
pub mod users;

pub use database::{Database, DatabaseUrls, SystemTx, TenantTx};
pub use error::StoreError;
pub use scope::Scope;

/// Inside a transaction of either role: what functions take that both may call.
pub type Connection = sqlx::PgConnection;
