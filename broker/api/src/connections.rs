//! Live client connections of one broker node: the answers and requests of [`crate::paths::CONNECTIONS`].

use crate::spec::{AccessPath, ClientCertificates};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Most connections that one answer lists.
pub const MAX_LISTED: u32 = 500;
/// Most ids that one request closes.
pub const MAX_CLOSED: usize = 500;
/// Most users that one [`Unkept`] names.
pub const MAX_UNKEPT: usize = 500;

/// One client connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveConnection {
    /// Rises with each connection, and over restarts of the gateway: an id is never given twice.
    pub id: u64,
    pub path: AccessPath,
    pub ip: IpAddr,
    pub port: u16,
    /// Kafka's principal without its type: `ANONYMOUS` on plaintext paths; none before the login.
    pub user: Option<String>,
    /// How the client proved who it is: `PLAIN`, `SCRAM-SHA-512`, `OAUTHBEARER`, `MTLS`; none without a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// What the client showed in its handshake, unless it logged in otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<ShownCertificate>,
    /// As the client named itself, shortened where it is absurdly long; none before its first request.
    pub client_id: Option<String>,
    /// Name and version of the client's library (KIP-511); none for clients older than Kafka 2.4.
    pub software_name: Option<String>,
    pub software_version: Option<String>,
    /// Accepted at, ms since 1970.
    pub since_ms: i64,
    /// A byte moved last at, ms since 1970.
    pub active_ms: i64,
    /// Bytes from the client after its login, inside TLS.
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub requests: u64,
}

/// A client's certificate. Names are as of RFC 2253, shortened where they are absurdly long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownCertificate {
    pub subject: String,
    pub issuer: String,
    /// Lower-case hexadecimal.
    pub serial: String,
    /// The connection ends then, seconds since 1970.
    pub valid_until: i64,
}

/// Which connections: those that fit every part that is set. An empty one fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionFilter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

impl ConnectionFilter {
    pub fn is_empty(&self) -> bool {
        self.ip.is_none() && self.user.is_none() && self.client_id.is_none()
    }

    pub fn fits(&self, connection: &LiveConnection) -> bool {
        self.ip.is_none_or(|ip| ip == connection.ip)
            && (self.user.is_none() || self.user == connection.user)
            && (self.client_id.is_none() || self.client_id == connection.client_id)
    }
}

/// Asks for connections by rising id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListConnections {
    #[serde(default)]
    pub filter: ConnectionFilter,
    /// Those with a greater id.
    #[serde(default)]
    pub after: u64,
    /// 1 to [`MAX_LISTED`].
    pub limit: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionList {
    pub connections: Vec<LiveConnection>,
    /// Connections that fit the filter, listed or not.
    pub total: u64,
}

/// Asks to end connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloseConnections {
    /// At most [`MAX_CLOSED`]; those that are gone already are passed over.
    Ids(Vec<u64>),
    /// All that fit; an empty filter is refused.
    Filter(ConnectionFilter),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedConnections {
    /// How many were told to end.
    pub closed: u64,
}

/// Asks which connections would end if these were the certificates that clients may sign in with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskUnkept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<ClientCertificates>,
}

/// Open connections that a change would end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unkept {
    /// By user, at most [`MAX_UNKEPT`] of them.
    pub by_user: BTreeMap<String, u64>,
    /// Of users beyond these, and of clients that have not asked for anything yet.
    pub others: u64,
}
