//! Traces: spans of requests and of jobs' steps, sent by OTLP over HTTP where a collector is configured.
//!
//! A request goes on with its caller's trace (W3C Trace Context). A full queue drops spans and never holds up work.

use crate::config::TracesConfig;
use axum::http::HeaderMap;
use opentelemetry::{
    propagation::{Extractor, TextMapPropagator},
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use std::time::Duration;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const SERVICE: &str = "sluice-control-plane";
/// What is left to send when the process stops may take this long.
const LAST_SPANS: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error("traces.sample_ratio is {0}; a share from 0 to 1 is accepted")]
    Ratio(f64),
    #[error("traces.otlp_endpoint cannot be used")]
    Exporter(#[from] ExporterBuildError),
}

/// The way of spans out of this process.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// None where no collector is configured.
    pub fn new(config: &TracesConfig) -> Result<Option<Self>, TracesError> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
        if !(0.0..=1.0).contains(&config.sample_ratio) {
            return Err(TracesError::Ratio(config.sample_ratio));
        }
        // Refused where the process has one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio))))
            .with_resource(Resource::builder().with_service_name(SERVICE).build())
            .build();
        Ok(Some(Self(provider)))
    }

    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer(SERVICE)
    }

    /// Sends what is left.
    pub fn stop(self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_SPANS) {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

/// The span belongs to the trace of the request's caller.
pub fn continue_from(span: &Span, headers: &HeaderMap) {
    // Refused only where spans go nowhere.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(headers)));
}

/// The trace that the span is part of: the caller's, or one that began here.
pub fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}
