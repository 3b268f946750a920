//! Why a spec cannot be served.

use broker_api::spec::AccessPath;
use std::io;
use std::net::SocketAddr;

/// A fault of a spec; the snapshot in force stays in force.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// `what` names the field and what would be accepted.
    #[error("the gateway spec cannot be served: {what}")]
    Invalid { what: String },
    #[error("{field} cannot be used as a TLS certificate: {why}")]
    Certificate { field: &'static str, why: String },
    #[error("cannot listen on {bind} for {}", path.as_str())]
    Bind { path: AccessPath, bind: SocketAddr, source: io::Error },
}

impl GatewayError {
    pub(super) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into() }
    }
}
