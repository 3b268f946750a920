//! Who is connected to an instance.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A live connection of a Kafka client to a broker.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClientConnection {
    /// Never given twice to connections of an instance's broker.
    #[schema(examples("2-1795432187000123"))]
    pub id: String,
    pub broker_id: i32,
    /// The way it came in: `private-plaintext` or `private-sasl-ssl`.
    pub path: String,
    pub ip: String,
    pub port: u16,
    /// `ANONYMOUS` on plaintext paths; null before the login.
    pub user: Option<String>,
    /// How it proved who it is: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER` or `MTLS`; null without a login.
    pub mechanism: Option<String>,
    /// What it is signed in with, if by mTLS.
    pub certificate: Option<ConnectionCertificate>,
    /// As the client names itself; null before its first request.
    pub client_id: Option<String>,
    /// The client's library; null for clients older than Kafka 2.4, which do not tell.
    #[schema(examples("librdkafka"))]
    pub software_name: Option<String>,
    pub software_version: Option<String>,
    pub connected_at: DateTime<Utc>,
    /// When a byte moved last.
    pub active_at: DateTime<Utc>,
    /// From the client after its login, inside TLS.
    pub bytes_in: u64,
    /// To the client.
    pub bytes_out: u64,
    pub requests: u64,
}

/// Connections that fit every member that is set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ClientConnectionFilter {
    /// Address of the client.
    pub ip: Option<String>,
    /// Kafka user; `ANONYMOUS` for who did not log in.
    pub user: Option<String>,
    pub client_id: Option<String>,
    /// Id of a broker.
    pub broker_id: Option<i32>,
}

/// The certificate of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionCertificate {
    #[schema(examples("CN=alice,OU=web"))]
    pub subject: String,
    pub issuer: String,
    /// Hexadecimal.
    pub serial: String,
    /// The connection ends then.
    pub valid_until: DateTime<Utc>,
}

/// A page of the connections of all brokers, by broker and age.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClientConnectionPage {
    pub items: Vec<ClientConnection>,
    /// Give it back as `cursor` to read on; null on the last page.
    pub next_cursor: Option<String>,
    /// Rows over all pages; only with `count=exact`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Brokers that did not answer: their connections are not in the list.
    pub silent_brokers: Vec<i32>,
}

/// Which connections to end: some by id, or all that fit.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseConnections {
    /// At most 500; those that have ended already are passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<CloseFilter>,
}

/// All connections that fit every member; at least one of `ip`, `user` and `client_id` is needed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseFilter {
    /// Address of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Kafka user; `ANONYMOUS` for who did not log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Id of a broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_id: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClosedConnections {
    /// Connections that were told to end.
    pub closed: u64,
    /// Brokers that did not answer: what they serve goes on.
    pub silent_brokers: Vec<i32>,
}
