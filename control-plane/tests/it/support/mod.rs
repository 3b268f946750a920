//! What tests stand on: a private Postgres, an application in this process, people of two organisations.

pub mod app;
pub mod authority;
mod cluster;
mod database;
mod people;
pub mod sample;

pub use app::{AUDIENCE, Answer, Call, ISSUER, TestApp, a_hundred_at_once, master_key, signing_key};
pub use database::TestDatabase;
pub use people::{Organisation, PASSWORD, Person};
