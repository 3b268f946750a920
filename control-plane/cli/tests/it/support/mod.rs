//! A scripted HTTP server, the program under test, and documents as the API sends them.

mod fixtures;
mod server;
mod sluice;

pub use fixtures::*;
pub use server::{Reply, Request, Server};
pub use sluice::{Home, finish};
