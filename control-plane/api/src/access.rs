//! Ways in to an instance, and who may use them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Who decides what a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Authorization {
    /// Everything with topics, groups and transactions, but what ACLs deny; of the cluster only looking.
    Open,
    /// Only what ACLs allow.
    Acl,
}

/// How a client proves that it knows the password of a Kafka user, by its name in Kafka's settings; strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum SaslMechanism {
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "PLAIN")]
    Plain,
}

impl SaslMechanism {
    pub const ALL: [Self; 3] = [Self::ScramSha512, Self::ScramSha256, Self::Plain];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
        }
    }
}

/// Every part changes while traffic flows: no broker restarts, and no connection ends that is still allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Access {
    /// 9092: private network, plaintext, no login.
    pub private_plaintext: bool,
    /// 9093: private network, SASL over TLS.
    pub private_sasl_ssl: bool,
    /// 9094: public network, plaintext, no login.
    pub public_plaintext: bool,
    /// 9095: public network, SASL over TLS.
    pub public_sasl_ssl: bool,
    /// 9011: from other networks through endpoints, SASL over TLS. Only `endpoint_accounts` come in.
    pub cross_network: bool,
    /// What clients that come by 9011 are told: the address of each broker's endpoint, every broker once; empty: the brokers'
    /// private addresses.
    pub cross_network_addresses: Vec<BrokerAddress>,
    /// Accounts whose endpoints reach 9011; empty: nobody does. At most 100.
    pub endpoint_accounts: Vec<EndpointAccount>,
    /// Addresses and networks (`10.1.0.0/16`) that may connect, by whichever way; empty: all. At most 100.
    pub allow_ips: Vec<String>,
    /// Addresses and networks that may not, whatever `allow_ips` says. At most 100.
    pub deny_ips: Vec<String>,
    /// Whether a missing topic that a client produces to or consumes from is made, with 3 partitions, if the client lets it.
    pub auto_create_topics: bool,
    /// What users with a password may log in by on SASL ports, strongest first. May be empty only where tokens or certificates are
    /// trusted.
    pub mechanisms: Vec<SaslMechanism>,
    /// Tokens that users may log in with on SASL ports by OAUTHBEARER, besides passwords. None: no tokens.
    pub oauthbearer: Option<TokenTrust>,
    /// Certificates that clients may sign in with on SASL ports instead (mTLS).
    pub mtls: Mtls,
    /// What clients may do once they are connected.
    pub authorization: Authorization,
    /// What clients without a login (9092) may do while `authorization` is `acl`: only what ACLs allow `User:ANONYMOUS`, or as much
    /// as if it were `open`. Without a meaning while it is `open`.
    pub anonymous: Authorization,
}

impl Access {
    /// Whether brokers need public addresses.
    pub fn is_public(&self) -> bool {
        self.public_plaintext || self.public_sasl_ssl
    }

    /// Whether clients with a login may do what ACLs do not deny.
    pub fn is_open_to_users(&self) -> bool {
        self.authorization == Authorization::Open
    }

    /// Whether clients without a login may do what ACLs do not deny.
    pub fn is_open_to_anonymous(&self) -> bool {
        self.is_open_to_users() || self.anonymous == Authorization::Open
    }
}

/// Where clients of another network find a broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BrokerAddress {
    /// As in the instance's `brokers`.
    #[schema(examples(0))]
    pub broker_id: i32,
    /// A host name, or an IP address.
    #[schema(examples("kafka-0.acme.example"))]
    pub host: String,
    /// 1 to 65535.
    #[serde(default = "default_endpoint_port")]
    pub port: u16,
}

fn default_endpoint_port() -> u16 {
    9011
}

/// An account that may use endpoints of the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointAccount {
    /// An organisation or a project: `org_…` or `prj_…`.
    #[schema(examples("prj_01jd9mz5w8e4wahj8k6t3v2q7r"))]
    pub account: String,
    /// Addresses and networks that its endpoints come from; 1 to 100.
    pub ips: Vec<String>,
}

/// Which JSON Web Tokens (RFC 7519) say who a Kafka client is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenTrust {
    /// `iss` that a token must have, letter by letter. 1 to 512 characters.
    pub issuer: String,
    /// `aud` that a token must have, or have among others. 1 to 256 characters.
    pub audience: String,
    /// Claim that names the Kafka user. 1 to 128 characters.
    #[serde(default = "default_user_claim")]
    pub user_claim: String,
    /// Public keys of the issuer as a JSON Web Key Set (RFC 7517), what it serves under its `jwks_uri`: 1 to 20 keys of RSA
    /// (2048 bits or more), P-256, P-384 or Ed25519.
    pub keys: KeySet,
}

fn default_user_claim() -> String {
    "sub".to_owned()
}

/// A JSON Web Key Set. Members that are not needed to check a signature are kept and not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeySet {
    #[schema(value_type = Vec<Object>)]
    pub keys: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// Which certificates say who a Kafka client is that asks for no SASL login: `security.protocol=SSL`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Mtls {
    /// Whether clients are asked for a certificate. Who has none logs in by SASL, as before.
    pub enabled: bool,
    /// Whose certificates are trusted; at most 20.
    pub authorities: Vec<ClientAuthority>,
    /// What they took back.
    pub revocation_lists: Vec<RevocationList>,
    /// What the subject of a certificate becomes, as Kafka's `ssl.principal.mapping.rules`. `DEFAULT`: the whole name.
    pub principal_rules: String,
}

impl Default for Mtls {
    fn default() -> Self {
        Self {
            enabled: false,
            authorities: Vec::new(),
            revocation_lists: Vec::new(),
            principal_rules: "DEFAULT".to_owned(),
        }
    }
}

/// An authority that issues certificates of clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientAuthority {
    pub subject: String,
    /// Hexadecimal.
    pub fingerprint_sha256: String,
    pub valid_until: DateTime<Utc>,
    pub pem: String,
}

/// A list of certificates that an authority took back (RFC 5280 §5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationList {
    /// One of the authorities.
    pub issuer: String,
    /// How many are on it.
    pub revoked: u64,
    pub issued_at: DateTime<Utc>,
    /// When the authority publishes the next one; this one counts until it is replaced.
    pub next_at: Option<DateTime<Utc>>,
    pub pem: String,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            private_plaintext: true,
            private_sasl_ssl: true,
            public_plaintext: false,
            public_sasl_ssl: false,
            cross_network: false,
            cross_network_addresses: Vec::new(),
            endpoint_accounts: Vec::new(),
            allow_ips: Vec::new(),
            deny_ips: Vec::new(),
            auto_create_topics: false,
            mechanisms: SaslMechanism::ALL.to_vec(),
            oauthbearer: None,
            mtls: Mtls::default(),
            authorization: Authorization::Open,
            anonymous: Authorization::Acl,
        }
    }
}

/// JSON merge patch (RFC 7396) of the access; null takes a field back to its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAccess {
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub private_plaintext: Option<Option<bool>>,
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub private_sasl_ssl: Option<Option<bool>>,
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub public_plaintext: Option<Option<bool>>,
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub public_sasl_ssl: Option<Option<bool>>,
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub cross_network: Option<Option<bool>>,
    /// Replaced as a whole.
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub cross_network_addresses: Option<Option<Vec<BrokerAddress>>>,
    /// Replaced as a whole.
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub endpoint_accounts: Option<Option<Vec<EndpointAccount>>>,
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub allow_ips: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub deny_ips: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub auto_create_topics: Option<Option<bool>>,
    /// Replaced as a whole; each is named once.
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub mechanisms: Option<Option<Vec<SaslMechanism>>>,
    /// Replaced as a whole.
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub oauthbearer: Option<Option<TokenTrust>>,
    /// A merge patch of its own: what it does not name stays; null switches it off and forgets the authorities.
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Option<UpdateMtls>>,
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Option<Authorization>>,
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<Option<Authorization>>,
}

/// What is to become of mTLS.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateMtls {
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub enabled: Option<Option<bool>>,
    /// Certificates of all authorities, in PEM: these instead of those that were trusted. 1 to 20, at most 256 KiB.
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<Option<String>>,
    /// The same as a truststore: JKS or PKCS#12 in base64, at most 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Byte)]
    pub truststore: Option<String>,
    /// Of the truststore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password)]
    pub truststore_password: Option<String>,
    /// Lists of revoked certificates in PEM, at most one of each authority: these instead of those that were there. At most 256 KiB.
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    pub crl_pem: Option<Option<String>>,
    /// As Kafka's `ssl.principal.mapping.rules`, at most 4096 bytes.
    #[serde(default, deserialize_with = "crate::patch::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(examples("RULE:^CN=(.*?),.*$/$1/L, DEFAULT"))]
    pub principal_rules: Option<Option<String>>,
}

impl fmt::Debug for UpdateMtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateMtls").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}
