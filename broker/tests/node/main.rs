//! The node as a driver and a control plane meet it: two processes, their APIs, and a real Kafka.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

#[path = "../support/mod.rs"]
mod support;

mod admission;
mod capacity;
mod connections;
mod control;
mod groups;
mod harness;
mod kafka;
mod stand_in;
mod supervisor;

use support::KAFKA_NEW;
