//! Tokens by which a gateway tells its own broker who a client is, where the client proved that to the gateway alone
//! (OAUTHBEARER on SAS).
//!
//! Owns their issuer, audience and signature, which supervisor and gateway must agree on. Reads no file: whoever makes a
//! [`Signer`] says where the key comes from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use broker_api::spec::NodeIdentity;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;
use std::fmt;
use std::io;
use std::sync::OnceLock;

/// `iss` of the tokens that a gateway signs for its own broker.
pub const ISSUER: &str = "sluice-gateway";
/// `kid` of the one key.
pub const KEY_ID: &str = "node";
/// Seconds that a token lasts: long enough for one login.
const LIFE: i64 = 60;

/// `aud` of these tokens: a token for one node is worth nothing at another.
pub fn audience(identity: &NodeIdentity) -> String {
    format!("{}/{}", identity.instance, identity.node_id)
}

type Load = Box<dyn Fn() -> io::Result<Vec<u8>> + Send + Sync>;

/// Signs with this node's key.
pub struct Signer {
    audience: String,
    /// PKCS#8 (DER). The supervisor makes the key before it starts Kafka, maybe after the gateway began to serve.
    load: Load,
    key: OnceLock<EcdsaKeyPair>,
}

impl Signer {
    pub fn new(identity: &NodeIdentity, load: impl Fn() -> io::Result<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self { audience: audience(identity), load: Box::new(load), key: OnceLock::new() }
    }

    /// A token that says that the bearer is `user`, for `now` in seconds since 1970.
    pub fn sign(&self, user: &str, now: i64) -> io::Result<String> {
        let random = SystemRandom::new();
        let key = match self.key.get() {
            Some(key) => key,
            None => {
                let loaded = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &(self.load)()?, &random)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
                self.key.get_or_init(|| loaded)
            }
        };
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": KEY_ID });
        let claims = json!({
            "iss": ISSUER, "aud": self.audience, "sub": user, "iat": now, "exp": now + LIFE,
            "jti": format!("{:032x}", rand::random::<u128>()),
        });
        let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = key.sign(&random, signed.as_bytes()).map_err(|_| io::Error::other("no random numbers"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("audience", &self.audience).finish_non_exhaustive()
    }
}
