//! Logs, metrics and traces of the process. Knows no business: what is counted is said by who counts.

pub mod logs;
pub mod metrics;
pub mod traces;
