//! Background jobs: everything that takes longer than a request (architecture.md, "Workflows for what ends").
//!
//! [`engine`] is generic: a durable queue of workflows, and knows no Kafka. [`workflow`] holds the workflows, one file
//! each. Use cases put a job into their own transaction with [`engine::enqueue`]; nothing else starts one.

pub mod engine;
pub mod workflow;
