//! What tests stand on: a private Postgres, an application in this process, people of two organisations.

mod app;
mod cluster;
mod database;
mod people;

pub use app::{Answer, Call, TestApp};
pub use database::TestDatabase;
pub use people::{Organisation, Person};
