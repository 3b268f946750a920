//! Spans reach a collector and go on with the caller's trace.

use crate::support::TestApp;
use axum::{Router, body::Bytes, extract::State, routing::post};
use control_plane::{config::TracesConfig, telemetry::traces::Traces};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt;

type Received = Arc<Mutex<Vec<u8>>>;

/// An OTLP collector that keeps what it is sent, and its address.
async fn collector() -> (String, Received) {
    let received = Received::default();
    let take = async |State(received): State<Received>, body: Bytes| received.lock().unwrap().extend_from_slice(&body);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(take)).with_state(received.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, received)
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn a_request_is_a_span_of_its_callers_trace() {
    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    let (endpoint, received) = collector().await;
    let config = TracesConfig { otlp_endpoint: Some(endpoint), ..TracesConfig::default() };
    let traces = Traces::new(&config).unwrap().unwrap();
    let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer());
    let app = TestApp::start().await;

    let subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let parent = format!("00-{TRACE:032x}-00f067aa0ba902b7-01");
    app.get("/v1/specs").by(app.acme.owner()).header("traceparent", parent).send().await;
    drop(subscriber);
    tokio::task::spawn_blocking(|| traces.stop()).await.unwrap();

    let received = received.lock().unwrap().clone();
    assert!(holds(&received, &TRACE.to_be_bytes()), "the trace of the caller is not among the spans");
    assert!(holds(&received, b"/v1/specs"), "the route is not among the spans");
}

#[test]
fn a_share_that_is_none_is_refused_by_its_key() {
    let config = TracesConfig { otlp_endpoint: Some("http://127.0.0.1:4318/v1/traces".into()), sample_ratio: 2.0 };
    assert!(Traces::new(&config).unwrap_err().to_string().contains("traces.sample_ratio is 2"));
}
