//! What an instance may trust tokens by: issuer, audience, and public keys of kinds that prove something.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use control_plane_api::{access::TokenTrust, problem::FieldError};
use serde_json::{Map, Value};

const MAX_KEYS: usize = 20;
/// Of one key, as JSON: certificates may stand in it.
const MAX_KEY_BYTES: usize = 16 * 1024;
/// RFC 7518 §3.3.
const MIN_RSA_BITS: usize = 2048;
/// Members that only a private or shared key has (RFC 7518 §6).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];

/// All faults, each under `pointer`.
pub fn faults(pointer: &str, trust: &TokenTrust) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for (field, value, longest) in
        [("issuer", &trust.issuer, 512), ("audience", &trust.audience, 256), ("user_claim", &trust.user_claim, 128)]
    {
        if value.is_empty() || value.len() > longest || value.chars().any(char::is_control) {
            let detail = format!("1 to {longest} characters are accepted, none of them a control character");
            faults.push(FieldError::new(format!("{pointer}/{field}"), "text-shape", detail).with("limit", longest));
        }
    }
    let keys = &trust.keys.keys;
    if keys.is_empty() || keys.len() > MAX_KEYS {
        let detail = format!("{} keys are given; 1 to {MAX_KEYS} are accepted", keys.len());
        faults.push(FieldError::new(format!("{pointer}/keys/keys"), "key-count", detail).with("limit", MAX_KEYS));
        return faults;
    }
    for (index, key) in keys.iter().enumerate() {
        if let Some((code, detail)) = key_fault(key) {
            faults.push(FieldError::new(format!("{pointer}/keys/keys/{index}"), code, detail));
        }
    }
    faults
}

fn key_fault(key: &Map<String, Value>) -> Option<(&'static str, String)> {
    if let Some(member) = PRIVATE.into_iter().find(|member| key.contains_key(*member)) {
        let detail = format!("it has {member:?}, which belongs to a private or shared key: give public keys only");
        return Some(("private-key", detail));
    }
    if serde_json::to_vec(key).map_or(true, |text| text.len() > MAX_KEY_BYTES) {
        return Some(("key-size", format!("a key of at most {MAX_KEY_BYTES} bytes of JSON is accepted")));
    }
    let text = |member: &str| key.get(member).and_then(Value::as_str).unwrap_or_default();
    let bytes = |member: &str| URL_SAFE_NO_PAD.decode(text(member)).unwrap_or_default();
    let coordinates = |size: usize, members: &[&str]| members.iter().all(|member| bytes(member).len() == size);
    match (text("kty"), text("crv")) {
        ("RSA", _) => {
            let bits = bytes("n").iter().skip_while(|byte| **byte == 0).count() * 8;
            let shape = || ("key-shape", "n and e are expected, in base64url".to_owned());
            let short = || ("key-strength", format!("RSA of {MIN_RSA_BITS} bits or more is accepted, it has {bits}"));
            if bits == 0 || bytes("e").is_empty() { Some(shape()) } else { (bits < MIN_RSA_BITS).then(short) }
        }
        ("EC", "P-256") if coordinates(32, &["x", "y"]) => None,
        ("EC", "P-384") if coordinates(48, &["x", "y"]) => None,
        ("OKP", "Ed25519") if coordinates(32, &["x"]) => None,
        ("EC", "P-256" | "P-384") => Some(("key-shape", "x and y are expected, in base64url".to_owned())),
        ("OKP", "Ed25519") => Some(("key-shape", "x is expected, in base64url".to_owned())),
        _ => Some(("key-kind", "a key of kty RSA, EC (P-256, P-384) or OKP (Ed25519) is accepted".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn trust(keys: Value) -> TokenTrust {
        serde_json::from_value(
            json!({ "issuer": "https://login.acme.example", "audience": "kafka", "keys": { "keys": keys } }),
        )
        .unwrap()
    }

    fn codes(trust: &TokenTrust) -> Vec<String> {
        faults("/oauthbearer", trust).into_iter().map(|fault| format!("{} {}", fault.pointer, fault.code)).collect()
    }

    #[test]
    fn public_keys_of_the_usual_kinds_are_taken() {
        let of = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![7; bytes]);
        let good = trust(json!([
            { "kty": "RSA", "kid": "1", "n": of(256), "e": "AQAB", "alg": "RS256", "use": "sig", "x5c": ["MIIB"] },
            { "kty": "EC", "crv": "P-256", "x": of(32), "y": of(32) },
            { "kty": "EC", "crv": "P-384", "x": of(48), "y": of(48) },
            { "kty": "OKP", "crv": "Ed25519", "x": of(32) },
        ]));
        assert_eq!(codes(&good), Vec::<String>::new());
        assert_eq!(good.user_claim, "sub");
    }

    #[test]
    fn every_key_that_proves_nothing_is_named_with_its_reason() {
        let of = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![7; bytes]);
        let mut bad = trust(json!([
            { "kty": "RSA", "n": of(128), "e": "AQAB" },
            { "kty": "RSA", "n": of(256), "e": "AQAB", "d": of(256) },
            { "kty": "oct", "k": of(32) },
            { "kty": "EC", "crv": "P-521", "x": of(66), "y": of(66) },
            { "kty": "EC", "crv": "P-256", "x": of(31), "y": of(32) },
            {},
        ]));
        bad.issuer = String::new();
        assert_eq!(
            codes(&bad),
            [
                "/oauthbearer/issuer text-shape",
                "/oauthbearer/keys/keys/0 key-strength",
                "/oauthbearer/keys/keys/1 private-key",
                "/oauthbearer/keys/keys/2 private-key",
                "/oauthbearer/keys/keys/3 key-kind",
                "/oauthbearer/keys/keys/4 key-shape",
                "/oauthbearer/keys/keys/5 key-kind",
            ]
        );
        assert_eq!(codes(&trust(json!([]))), ["/oauthbearer/keys/keys key-count"]);
    }
}
