//! Log lines: JSON or for people, to standard error. A line of a request carries its request id and trace.

use crate::config::{LogConfig, LogFormat};
use opentelemetry_sdk::trace::SdkTracer;
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("log.filter is not a filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logging is set up already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Once a process, first of all.
pub fn start(config: &LogConfig) -> Result<(), LogError> {
    start_with(config, None)
}

/// The same, with spans handed to `tracer` as well.
pub fn start_with(config: &LogConfig, tracer: Option<SdkTracer>) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let traces = tracer.map(|tracer| tracing_opentelemetry::layer().with_tracer(tracer));
    let registry = tracing_subscriber::registry().with(filter).with(traces);
    match config.format {
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(true)
                    .with_span_list(false)
                    .with_writer(std::io::stderr),
            )
            .try_init()?,
        LogFormat::Human => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).try_init()?;
        }
    }
    Ok(())
}
