//! Tokens that clients log in with by OAUTHBEARER (RFC 7628): whose they are, and until when.
//!
//! Owns their check by what the spec trusts. The algorithm follows from the key, never from the token alone; nothing is
//! fetched because a token says so (RFC 8725). Pure: the clock is the caller's.

use super::error::GatewayError;
use broker_api::spec::BearerTrust;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use std::collections::BTreeMap;

/// Longer tokens are refused unparsed.
const MAX_TOKEN: usize = 16 * 1024;
/// How far clocks may be apart, seconds.
const LEEWAY: i64 = 30;

/// What an instance trusts.
pub(super) struct Trust {
    issuer: String,
    audience: String,
    user_claim: String,
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    algorithms: &'static [Algorithm],
    public: DecodingKey,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bearer {
    pub(super) user: String,
    /// Seconds since 1970.
    pub(super) expires: i64,
}

/// Why a token is refused: for our log, a client is told nothing of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum BearerError {
    #[error("it has {0} bytes; at most {MAX_TOKEN} are read")]
    Long(usize),
    #[error("it is no JSON Web Token, or its header asks for what is not supported")]
    Header,
    #[error("no trusted key fits its kid and alg")]
    UnknownKey,
    #[error("its signature, issuer or audience is wrong")]
    Untrusted(#[source] jsonwebtoken::errors::Error),
    #[error("it is not valid at this time")]
    Time,
    #[error("its claim {0:?} names no user")]
    User(String),
}

impl Trust {
    pub(super) fn parse(trust: &BearerTrust) -> Result<Self, GatewayError> {
        jws::install();
        let invalid = |why: String| GatewayError::invalid(format!("bearer.keys: {why}"));
        let set: JwkSet = serde_json::from_str(&trust.keys).map_err(|error| invalid(error.to_string()))?;
        let keys = set.keys.iter().enumerate().map(|(index, jwk)| {
            let algorithms =
                algorithms(jwk).ok_or_else(|| invalid(format!("key {index} is of no kind that is accepted")))?;
            let public = DecodingKey::from_jwk(jwk).map_err(|error| invalid(format!("key {index}: {error}")))?;
            Ok(Key { id: jwk.common.key_id.clone(), algorithms, public })
        });
        Ok(Self {
            issuer: trust.issuer.clone(),
            audience: trust.audience.clone(),
            user_claim: trust.user_claim.clone(),
            keys: keys.collect::<Result<_, _>>()?,
        })
    }

    /// Whose the token is. `now`: seconds since 1970.
    pub(super) fn check(&self, token: &str, now: i64) -> Result<Bearer, BearerError> {
        if token.len() > MAX_TOKEN {
            return Err(BearerError::Long(token.len()));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| BearerError::Header)?;
        if header.crit.is_some() {
            return Err(BearerError::Header);
        }
        let fits = |key: &&Key| {
            key.algorithms.contains(&header.alg) && (header.kid.is_none() || key.id.is_none() || header.kid == key.id)
        };
        let mut last = BearerError::UnknownKey;
        for key in self.keys.iter().filter(fits) {
            let mut validation = Validation::new(header.alg);
            validation.set_issuer(&[&self.issuer]);
            validation.set_audience(&[&self.audience]);
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            // Below, by the caller's clock.
            validation.validate_exp = false;
            match jsonwebtoken::decode::<BTreeMap<String, Value>>(token, &key.public, &validation) {
                Ok(data) => return self.read(&data.claims, now),
                Err(error) => last = BearerError::Untrusted(error),
            }
        }
        Err(last)
    }

    fn read(&self, claims: &BTreeMap<String, Value>, now: i64) -> Result<Bearer, BearerError> {
        let time = |name: &str| claims.get(name).map(|value| value.as_f64().ok_or(BearerError::Time)).transpose();
        let expires = time("exp")?.ok_or(BearerError::Time)? as i64;
        let begins = time("nbf")?.map_or(i64::MIN, |begins| begins as i64);
        if expires.saturating_add(LEEWAY) <= now || begins > now.saturating_add(LEEWAY) {
            return Err(BearerError::Time);
        }
        let user = claims.get(&self.user_claim).and_then(Value::as_str).unwrap_or_default();
        if !principal::is_name(user) {
            return Err(BearerError::User(self.user_claim.clone()));
        }
        Ok(Bearer { user: user.to_owned(), expires })
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("issuer", &self.issuer).field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// What a key may have signed with; none for kinds that are not accepted, shared secrets among them.
fn algorithms(jwk: &Jwk) -> Option<&'static [Algorithm]> {
    const RSA: &[Algorithm] =
        &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
    match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Some(RSA),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Some(&[Algorithm::ES256]),
            EllipticCurve::P384 => Some(&[Algorithm::ES384]),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(key) => match key.curve {
            EllipticCurve::Ed25519 => Some(&[Algorithm::EdDSA]),
            _ => None,
        },
        _ => None,
    }
}

/// The token in a client's first message: `n,[a=authzid],^Aauth=Bearer TOKEN^A[key=value^A…]^A`.
pub(super) fn token_of(message: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(message).ok()?;
    let (header, pairs) = text.split_once('\u{1}')?;
    if !header.starts_with("n,") || !header.ends_with(',') {
        return None;
    }
    let value = pairs.strip_suffix('\u{1}')?.split('\u{1}').find_map(|pair| pair.strip_prefix("auth="))?;
    let (scheme, token) = value.split_once(' ')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.chars().all(plain)).then_some(token)
}

/// A client's first message with this token.
pub(super) fn message_with(token: &str) -> Vec<u8> {
    format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_in_what_clients_send_and_in_nothing_else() {
        assert_eq!(token_of(&message_with("a.b-c_d")), Some("a.b-c_d"));
        assert_eq!(token_of(b"n,a=alice,\x01host=x\x01auth=bearer abc=\x01traceId=7\x01\x01"), Some("abc="));
        for hostile in [
            &b""[..],
            b"\x01",
            b"n,,",
            b"y,,\x01auth=Bearer a\x01\x01",
            b"n,,\x01auth=Basic a\x01\x01",
            b"n,,\x01auth=Bearer \x01\x01",
            b"n,,\x01auth=Bearer a b\x01\x01",
            b"n,,\x01auth=Bearer a",
            b"n,,\x01auth=Bearer \xff\x01\x01",
        ] {
            assert_eq!(token_of(hostile), None, "{hostile:?}");
        }
    }
}
