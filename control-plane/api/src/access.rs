//! Ways in to an instance, and who may use them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every part changes while traffic flows: no broker restarts, and no connection ends that is still allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Access {
    /// 9092: private network, plaintext, no login.
    pub private_plaintext: bool,
    /// 9093: private network, SASL over TLS.
    pub private_sasl_ssl: bool,
    /// Addresses and networks (`10.1.0.0/16`) that may connect; empty: all. At most 100.
    pub allow_ips: Vec<String>,
    /// Addresses and networks that may not, whatever `allow_ips` says. At most 100.
    pub deny_ips: Vec<String>,
}

impl Default for Access {
    fn default() -> Self {
        Self { private_plaintext: true, private_sasl_ssl: true, allow_ips: Vec::new(), deny_ips: Vec::new() }
    }
}

/// JSON merge patch (RFC 7396) of the access; null takes a field back to its default.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAccess {
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub private_plaintext: Option<Option<bool>>,
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub private_sasl_ssl: Option<Option<bool>>,
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub allow_ips: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub deny_ips: Option<Option<Vec<String>>>,
}
