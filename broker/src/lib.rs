//! The Sluice broker node: a supervisor of Apache Kafka, and the gateway in front of it.
//!
//! One program, two processes (architecture.md, "The parts"): [`supervisor`] runs the JVM; the
//! gateway process carries the [`gateway`] and the node's control API. They share a node directory
//! ([`directory`]) and nothing else, and each goes on without the other and without the control
//! plane.

mod answer;
pub mod assertion;
pub mod capacity;
mod clock;
pub mod control;
pub mod directory;
pub mod gateway;
pub mod identity;
mod incarnation;
pub mod inter_broker;
pub mod node;
pub mod probe;
mod scram;
pub mod spec;
pub mod supervisor;
pub mod telemetry;

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

/// An error with all its causes, in one line.
pub fn error_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
