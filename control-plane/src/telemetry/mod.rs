//! Logs and metrics of the process. Knows no business: what is counted is said by who counts.

pub mod logs;
pub mod metrics;
