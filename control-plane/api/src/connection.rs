//! How to connect to an instance: addresses, trust, ready code.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientKind {
    Java,
    Python,
    Go,
    Node,
    Rust,
    Kcat,
    /// A properties file for Kafka's own tools.
    Properties,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TruststoreFormat {
    Pem,
    P12,
    Jks,
}

/// A way to connect with a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionPath {
    /// 9093.
    Private,
    /// 9095.
    Public,
    /// 9011, through endpoints.
    CrossNetwork,
}

#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConnectionQuery {
    pub client: Option<ClientKind>,
    /// Way that the code connects by. Default: the first that is open of private, public and cross-network.
    pub path: Option<ConnectionPath>,
    /// Kafka user that the code signs in as.
    pub user: Option<String>,
    pub topic: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Connection {
    pub bootstrap: crate::instance::Bootstrap,
    /// `SASL_SSL`.
    pub security_protocol: String,
    /// Those that are on, strongest first, and `OAUTHBEARER` where tokens are trusted.
    pub sasl_mechanisms: Vec<String>,
    /// Whether clients may show a certificate instead: `security.protocol=SSL` on the same ports.
    pub mtls: bool,
    /// Code that runs as it is, once the files and the environment variables below are there.
    pub snippet: Option<Snippet>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Snippet {
    pub client: ClientKind,
    pub files: Vec<SnippetFile>,
    /// Environment variables it reads: `KAFKA_PASSWORD`.
    pub environment: Vec<String>,
    /// Shell commands that install what it needs and run it.
    pub run: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SnippetFile {
    pub name: String,
    pub content: String,
}
