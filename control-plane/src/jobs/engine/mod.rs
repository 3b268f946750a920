//! The job engine: a durable queue of workflows.
//!
//! Owns leases, fences, retries, undo, cancellation and the history of jobs. Knows nothing of what steps do. May use
//! `store::jobs`, the clock and the keyring; must not use drivers, nodes or Kafka.
//!
//! ```text
//!            enqueue (in the caller's transaction, NOTIFY)
//!               │
//!             queued ──claim (SKIP LOCKED, lease, fence + 1)──► running ──► succeeded
//!               ▲  lease given back: retry later, stop              │
//!               └───────────────────────────────────────────────────┤
//!                                                                   ├─► unwinding ──► failed     a step failed for good
//!                                                                   ├─► cancelling ─► cancelled  somebody asked for it
//!                                                                   └─► stuck                    a person must look
//! ```
//!
//! What a workflow may rely on:
//! - A step runs outside of transactions, as often as it takes: after a crash it runs again from its beginning.
//! - [`StepContext::transaction`] is the only way to the database, and it works only while the claim holds. A runner
//!   that was paused past its lease writes nothing.
//! - [`Step::commit`] joins the transaction that records the step's success; both happen or neither.
//! - After a permanent failure or a cancellation the undo of every step that was begun runs, last first, repeated until
//!   it succeeds.

mod backoff;
mod context;
mod enqueue;
mod error;
mod lease;
mod metrics;
mod progress;
mod registry;
mod runner;
mod runners;
mod work;
mod workflow;

pub use context::{JobHandle, StepContext};
pub use enqueue::{EnqueueError, NewJob, Resource, enqueue};
pub use error::{Cause, StepError, chain};
pub use lease::result_context;
pub use metrics::Metrics;
pub use registry::{AnyWorkflow, Call, KindInfo, Opened, Registry, RegistryError, StepInfo, describe};
pub use runner::{Runner, Turn};
pub use runners::{Config, Runners};
pub use workflow::{Limits, OnFailure, Step, Workflow};
