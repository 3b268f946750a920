//! Access tokens: JWTs of RFC 9068, signed with ES256, checked as RFC 8725 says.
//!
//! A token only says which session asks; what the session may do is read when it asks, so that revocation and changes
//! of roles count at once.

use arc_swap::ArcSwap;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use control_plane_api::id::{ApiKeyId, OrganisationId, ServiceAccountId, SessionId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// RFC 9068 §2.1.
const TYPE: &str = "at+jwt";
/// How far clocks of replicas may be apart (RFC 8725 leaves it open, 60 s is the usual bound).
const LEEWAY: Duration = Duration::seconds(30);
/// Longer tokens are refused before they are parsed; ours have about 600 characters.
const MAX_LENGTH: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The one answer for whatever is wrong with a token; the reason is for logs.
    #[error("token refused: {0}")]
    Refused(&'static str),
    #[error("no key signs at this time")]
    NoSigningKey,
    #[error("a key pair could not be made")]
    Generate,
    #[error("signing key {kid} cannot be read: {reason}")]
    BadKey { kid: String, reason: String },
    #[error("signing failed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// A signing key as it is kept: the private half is sealed in the database.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    pub kid: String,
    pub private_pkcs8: Vec<u8>,
    pub public_jwk: Value,
    pub signs_from: DateTime<Utc>,
    pub signs_until: DateTime<Utc>,
}

impl SigningKey {
    /// A new P-256 key. Its `kid` is the JWK thumbprint (RFC 7638).
    pub fn generate(signs_from: DateTime<Utc>, signs_until: DateTime<Utc>) -> Result<Self, TokenError> {
        let random = SystemRandom::new();
        let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| TokenError::Generate)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private.as_ref(), &random)
            .map_err(|_| TokenError::Generate)?;
        // An uncompressed point: 4 ‖ x ‖ y.
        let (x, y) = pair.public_key().as_ref().get(1..65).ok_or(TokenError::Generate)?.split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let thumbprint = ring::digest::digest(
            &ring::digest::SHA256,
            format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes(),
        );
        let kid = URL_SAFE_NO_PAD.encode(thumbprint);
        let public_jwk = json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": x, "y": y});
        Ok(Self { kid, private_pkcs8: private.as_ref().to_vec(), public_jwk, signs_from, signs_until })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("signs_until", &self.signs_until)
            .finish_non_exhaustive()
    }
}

/// Whom a token speaks for, and what it lives and dies with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    User { user: UserId, session: SessionId },
    ServiceAccount { account: ServiceAccountId, key: ApiKeyId },
}

/// What an access token says, once it is known to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    pub subject: Subject,
    pub organisation: OrganisationId,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    org: OrganisationId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<SessionId>,
    /// API key that the token was given for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<ApiKeyId>,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Claims {
    fn subject(&self) -> Option<Subject> {
        match (self.sid, self.key) {
            (Some(session), None) => Some(Subject::User { user: self.sub.parse().ok()?, session }),
            (None, Some(key)) => Some(Subject::ServiceAccount { account: self.sub.parse().ok()?, key }),
            _ => None,
        }
    }
}

/// Signs and checks access tokens. Cheap to clone; all clones see a [`Tokens::reload`].
#[derive(Clone)]
pub struct Tokens {
    issuer: Arc<str>,
    audience: Arc<str>,
    life: Duration,
    keys: Arc<ArcSwap<KeySet>>,
}

#[derive(Default)]
struct KeySet {
    signing: Vec<(SigningKey, EncodingKey)>,
    verifying: BTreeMap<String, (DecodingKey, DateTime<Utc>)>,
}

impl Tokens {
    pub fn new(issuer: &str, audience: &str, life: Duration) -> Self {
        jws::install();
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            life,
            keys: Arc::new(ArcSwap::from_pointee(KeySet::default())),
        }
    }

    /// How long a token lasts.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// Takes the signing keys as they are stored now.
    pub fn reload(&self, stored: Vec<SigningKey>) -> Result<(), TokenError> {
        let mut keys = KeySet::default();
        for key in stored {
            let bad = |reason: String| TokenError::BadKey { kid: key.kid.clone(), reason };
            let jwk = serde_json::from_value(key.public_jwk.clone()).map_err(|error| bad(error.to_string()))?;
            let public = DecodingKey::from_jwk(&jwk).map_err(|error| bad(error.to_string()))?;
            keys.verifying.insert(key.kid.clone(), (public, key.signs_until + self.life));
            let private = EncodingKey::from_ec_der(&key.private_pkcs8);
            keys.signing.push((key, private));
        }
        self.keys.store(Arc::new(keys));
        Ok(())
    }

    /// Public keys, for `/.well-known/jwks.json`: those that sign now, will sign, or may have signed a live token.
    pub fn jwks(&self, now: DateTime<Utc>) -> Value {
        let keys = self.keys.load();
        let live: Vec<&Value> = keys
            .signing
            .iter()
            .filter(|(key, _)| now < key.signs_until + self.life)
            .map(|(key, _)| &key.public_jwk)
            .collect();
        json!({ "keys": live })
    }

    pub fn sign(
        &self,
        subject: Subject,
        organisation: OrganisationId,
        now: DateTime<Utc>,
    ) -> Result<String, TokenError> {
        let (sub, sid, key) = match subject {
            Subject::User { user, session } => (user.to_string(), Some(session), None),
            Subject::ServiceAccount { account, key } => (account.to_string(), None, Some(key)),
        };
        let claims = Claims {
            iss: self.issuer.to_string(),
            aud: self.audience.to_string(),
            sub,
            org: organisation,
            sid,
            key,
            jti: uuid::Uuid::new_v4().to_string(),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: (now + self.life).timestamp(),
        };
        let keys = self.keys.load();
        // The oldest that may sign: the newest may not be known everywhere yet.
        let (key, private) = keys
            .signing
            .iter()
            .filter(|(key, _)| key.signs_from <= now && now < key.signs_until)
            .min_by_key(|(key, _)| key.signs_until)
            .ok_or(TokenError::NoSigningKey)?;
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, &claims, private).map_err(TokenError::Sign)
    }

    /// What a token says, if it is ours, in time and meant for us.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Verified, TokenError> {
        let refuse = |reason| Err(TokenError::Refused(reason));
        if token.len() > MAX_LENGTH {
            return refuse("too long");
        }
        let kid = expected_header(token)?;
        let keys = self.keys.load();
        let Some((public, served_until)) = keys.verifying.get(&kid) else { return refuse("unknown kid") };
        if now >= *served_until {
            return refuse("signed by a retired key");
        }
        // The algorithm is ours, never the token's. Times are checked below, against the crate's clock.
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[&*self.audience]);
        validation.set_issuer(&[&*self.issuer]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_exp = false;
        let claims = match jsonwebtoken::decode::<Claims>(token, public, &validation) {
            Ok(data) => data.claims,
            Err(_) => return refuse("signature, issuer, audience or claims"),
        };
        let (earliest, latest) = ((now + LEEWAY).timestamp(), (now - LEEWAY).timestamp());
        if claims.nbf > earliest || claims.iat > earliest {
            return refuse("not valid yet");
        }
        if claims.exp <= latest {
            return refuse("expired");
        }
        if claims.exp - claims.iat > self.life.num_seconds() {
            return refuse("lives longer than we let tokens live");
        }
        match claims.subject() {
            Some(subject) => Ok(Verified { subject, organisation: claims.org }),
            None => refuse("sub, sid or key"),
        }
    }
}

/// The header says nothing but what ours say: `alg`, `typ`, `kid`. Anything that would have a verifier fetch or choose keys
/// (`jku`, `jwk`, `x5u`, `x5c`) or process extensions (`crit`, `b64`) is a forgery.
fn expected_header(token: &str) -> Result<String, TokenError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Expected {
        alg: String,
        typ: String,
        kid: String,
    }
    let first = token.split('.').next().unwrap_or_default();
    let header: Expected = URL_SAFE_NO_PAD
        .decode(first)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or(TokenError::Refused("header"))?;
    if header.alg != "ES256" || header.typ != TYPE {
        return Err(TokenError::Refused("alg or typ"));
    }
    Ok(header.kid)
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("issuer", &self.issuer)
            .field("keys", &self.keys.load().verifying.keys())
            .finish_non_exhaustive()
    }
}
