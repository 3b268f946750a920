//! Metrics in the OpenMetrics text format. Labels are closed sets: route templates, methods, enums.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Methods that have a label of their own.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Upper bounds in seconds, from a cached read to the request timeout.
const DURATIONS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    /// Template, `/v1/projects/{project}`: never a path.
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SignInLabels {
    outcome: SignIn,
}

/// How a request for a token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum SignIn {
    Accepted,
    Refused,
    Locked,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
    state: &'static str,
}

/// The metrics of this process.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    in_flight: Gauge,
    sign_ins: Family<SignInLabels, Counter>,
    connections: Family<PoolLabels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let durations = Family::new_with_constructor((|| Histogram::new(DURATIONS)) as fn() -> Histogram);
        let in_flight = Gauge::default();
        let sign_ins = Family::default();
        let connections = Family::default();
        registry.register("sluice_http_requests", "Requests answered", requests.clone());
        registry.register("sluice_http_request_duration_seconds", "Time to answer a request", durations.clone());
        registry.register("sluice_http_requests_in_flight", "Requests being answered", in_flight.clone());
        registry.register("sluice_sign_ins", "Requests for a token", sign_ins.clone());
        registry.register("sluice_database_connections", "Connections to Postgres", connections.clone());
        Self { registry: Mutex::new(registry), requests, durations, in_flight, sign_ins, connections }
    }
}

impl Metrics {
    /// Lets another part register metrics of its own.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Counts a request until [`Metrics::answered`].
    pub fn arrived(&self) {
        self.in_flight.inc();
    }

    /// `route`: template of the route, empty when there was none.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.in_flight.dec();
        // Callers invent methods; labels must not be theirs to choose.
        let method = if METHODS.contains(&method) { method } else { "other" };
        let (method, route) = (method.to_owned(), route.to_owned());
        self.durations
            .get_or_create(&RouteLabels { method: method.clone(), route: route.clone() })
            .observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    pub fn sign_in(&self, outcome: SignIn) {
        self.sign_ins.get_or_create(&SignInLabels { outcome }).inc();
    }

    /// `sizes`: pool, open, idle.
    pub fn set_pools(&self, sizes: &[(&'static str, u32, usize)]) {
        for (pool, open, idle) in sizes {
            let idle = i64::try_from(*idle).unwrap_or(i64::MAX);
            let set = |state, value| self.connections.get_or_create(&PoolLabels { pool, state }).set(value);
            set("idle", idle);
            set("busy", i64::from(*open).saturating_sub(idle));
        }
    }

    /// The text that is scraped.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_has_requests_by_route_and_ends_as_openmetrics_does() {
        let metrics = Metrics::default();
        metrics.arrived();
        metrics.answered("GET", "/v1/projects/{project}", 200, Duration::from_millis(3));
        metrics.arrived();
        metrics.answered("BREW", "", 405, Duration::from_millis(1));
        metrics.sign_in(SignIn::Refused);
        metrics.set_pools(&[("app", 5, 2)]);
        let text = metrics.encode().unwrap();
        for line in [
            r#"sluice_http_requests_total{method="GET",route="/v1/projects/{project}",status="200"} 1"#,
            r#"sluice_http_requests_total{method="other",route="",status="405"} 1"#,
            r#"sluice_sign_ins_total{outcome="Refused"} 1"#,
            r#"sluice_database_connections{pool="app",state="busy"} 3"#,
            "sluice_http_requests_in_flight 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
