//! Tokens that somebody made up, after RFC 8725: all refused, and the caller is not told why.

use crate::support::{self, TestApp};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use control_plane::auth::token::SigningKey;
use control_plane_api::auth::Me;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Value, json};

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn es256(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", part(header), part(claims));
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.private_pkcs8, &random).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(pair.sign(&random, text.as_bytes()).unwrap()))
}

fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", part(header), part(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// `base` with fields replaced; null takes one away.
fn with(base: &Value, changes: Value) -> Value {
    let mut value = base.clone();
    for (name, change) in changes.as_object().unwrap() {
        let fields = value.as_object_mut().unwrap();
        if change.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), change.clone());
        }
    }
    value
}

#[tokio::test]
async fn no_forged_token_is_taken() {
    let app = TestApp::start().await;
    let owner = app.acme.owner();
    let key = support::signing_key(&app.app).await;
    let now = app.app.clock.now();
    let stranger = SigningKey::generate(now, now + chrono::Duration::days(1)).unwrap();
    let now = now.timestamp();
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": key.kid});
    let claims = json!({"iss": support::ISSUER, "aud": support::AUDIENCE, "sub": owner.id, "org": app.acme.id, "sid": owner.session,
        "jti": "x", "iat": now, "nbf": now, "exp": now + 900});
    let good = es256(&key, &header, &claims);
    app.get("/v1/me").bearer(&good).send().await.expect::<Me>(200);

    let public = key.public_jwk.to_string();
    let point = format!("{}{}", key.public_jwk["x"].as_str().unwrap(), key.public_jwk["y"].as_str().unwrap());
    let own = |changes: Value| es256(&key, &with(&header, changes), &claims);
    let says = |changes: Value| es256(&key, &header, &with(&claims, changes));
    let (text, signature) = good.rsplit_once('.').unwrap();
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[10] ^= 1;
    let unsigned = |alg: &str| format!("{}.{}.", part(&with(&header, json!({"alg": alg}))), part(&claims));
    let forged = vec![
        ("none", unsigned("none")),
        ("None", unsigned("None")),
        ("nOnE", unsigned("nOnE")),
        ("none with signature", format!("{}{signature}", unsigned("none"))),
        ("empty algorithm", unsigned("")),
        ("HS256 with the JWK as secret", hs256(public.as_bytes(), &with(&header, json!({"alg": "HS256"})), &claims)),
        ("HS256 with the point as secret", hs256(point.as_bytes(), &with(&header, json!({"alg": "HS256"})), &claims)),
        ("HS256 with no secret", hs256(b"", &with(&header, json!({"alg": "HS256"})), &claims)),
        ("ES256 in name, HMAC in fact", hs256(public.as_bytes(), &header, &claims)),
        ("RS256 in name", own(json!({"alg": "RS256"}))),
        ("ES384 in name", own(json!({"alg": "ES384"}))),
        ("lower-case algorithm", own(json!({"alg": "es256"}))),
        ("no algorithm", own(json!({"alg": null}))),
        ("signed by a stranger under our kid", es256(&stranger, &header, &claims)),
        ("signed by a stranger under theirs", es256(&stranger, &with(&header, json!({"kid": stranger.kid})), &claims)),
        ("no kid", own(json!({"kid": null}))),
        ("empty kid", own(json!({"kid": ""}))),
        ("kid as a path", own(json!({"kid": "../../../../dev/null"}))),
        ("kid as SQL", own(json!({"kid": "' or 1=1 --"}))),
        ("kid as a number", own(json!({"kid": 1}))),
        ("jku", es256(&stranger, &with(&header, json!({"jku": "https://evil.example/jwks.json"})), &claims)),
        ("jku beside our kid", own(json!({"jku": "https://evil.example/jwks.json"}))),
        ("jwk in the header", es256(&stranger, &with(&header, json!({"jwk": stranger.public_jwk})), &claims)),
        ("x5u", own(json!({"x5u": "https://evil.example/c.pem"}))),
        ("x5c", own(json!({"x5c": ["MIIB"]}))),
        ("crit", own(json!({"crit": ["exp"]}))),
        ("b64", own(json!({"crit": ["b64"], "b64": false}))),
        ("zip", own(json!({"zip": "DEF"}))),
        ("typ JWT", own(json!({"typ": "JWT"}))),
        ("typ of an id token", own(json!({"typ": "id+jwt"}))),
        ("no typ", own(json!({"typ": null}))),
        ("not valid yet", says(json!({"nbf": now + 120}))),
        ("issued in the future", says(json!({"iat": now + 120, "exp": now + 1000}))),
        ("no nbf", says(json!({"nbf": null}))),
        ("expired beyond the leeway", says(json!({"iat": now - 961, "nbf": now - 961, "exp": now - 61}))),
        ("no expiry", says(json!({"exp": null}))),
        ("big expiry", says(json!({"exp": 4_102_444_800_i64}))),
        ("negative expiry", says(json!({"exp": -1}))),
        ("expiry as text", says(json!({"exp": "never"}))),
        ("other issuer", says(json!({"iss": "https://evil.example"}))),
        ("no issuer", says(json!({"iss": null}))),
        ("other audience", says(json!({"aud": "another-api"}))),
        ("no audience", says(json!({"aud": null}))),
        ("other organisation", says(json!({"org": app.globex.id}))),
        ("other user", says(json!({"sub": app.acme.stranger.id}))),
        ("no session", says(json!({"sid": null}))),
        ("session and key", says(json!({"key": control_plane_api::id::ApiKeyId::generate()}))),
        ("unknown session", says(json!({"sid": control_plane_api::id::SessionId::generate()}))),
        ("flipped signature", format!("{text}.{}", URL_SAFE_NO_PAD.encode(&flipped))),
        ("empty signature", format!("{text}.")),
        ("no signature", text.to_owned()),
        ("four parts", format!("{good}.x")),
        ("zero signature", format!("{text}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
        ("padded", format!("{good}=")),
        ("too long", format!("{good}{}", "A".repeat(5000))),
    ];
    for (what, token) in forged {
        let answer = app.get("/v1/me").bearer(&token).send().await;
        assert_eq!(answer.status, 401, "{what}");
        assert_eq!(answer.problem("unauthenticated").detail, answer.problem("unauthenticated").detail);
    }
    let late = es256(&key, &header, &with(&claims, json!({"iat": now - 910, "nbf": now - 910, "exp": now - 10})));
    app.get("/v1/me").bearer(&late).send().await.expect::<Me>(200);
    for scheme in ["Basic", "Token", ""] {
        let answer = app.get("/v1/me").header("authorization", format!("{scheme} {good}")).send().await;
        assert_eq!(answer.status, 401, "{scheme:?}");
    }
}
