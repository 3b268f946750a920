//! Logins by tokens (OAUTHBEARER): good ones are asserted to Kafka, all others are refused alike.

use super::super::bearer;
use super::super::connection::End;
use super::super::login::LoginError;
use super::logins::authenticate;
use super::*;
use crate::clock::unix_ms;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kafka_protocol::messages::SaslHandshakeResponse;
use ring::signature::KeyPair;
use serde_json::{Value, json};

/// Who signs tokens of an instance's users.
struct Issuer {
    key: EcdsaKeyPair,
    kid: &'static str,
}

impl Issuer {
    fn new(kid: &'static str) -> Self {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random).unwrap();
        Self { key, kid }
    }

    fn trusted(&self) -> BearerTrust {
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
        let keys = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": self.kid, "x": x, "y": y }] });
        BearerTrust {
            issuer: "https://login.acme.example".into(),
            audience: "kafka".into(),
            user_claim: "preferred_username".into(),
            keys: keys.to_string(),
        }
    }

    fn sign(&self, header: Value, claims: Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A good token for `user`, but for what `change` does to its claims.
    fn token(&self, user: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = json!({
            "iss": "https://login.acme.example", "aud": ["kafka", "other"], "preferred_username": user, "sub": "00u1",
            "iat": now(), "exp": now() + 300,
        });
        change(&mut claims);
        self.sign(json!({ "alg": "ES256", "kid": self.kid }), claims)
    }
}

pub(super) fn now() -> i64 {
    unix_ms() / 1000
}

fn rig(trust: Option<BearerTrust>) -> Rig {
    let mut spec = spec();
    spec.gateway.bearer = trust;
    Rig::with(spec)
}

pub(super) fn claims_of(message: &[u8]) -> Value {
    let token = bearer::token_of(message).expect("a bearer token");
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// A client that logs in with `token`; Kafka's side of it, and what Kafka was told.
async fn log_in(rig: &mut Rig, client: &mut Peer, token: &str) -> (Peer, Value) {
    assert_eq!(client.choose(1, "OAUTHBEARER").await.error_code, 0);
    client.send(&authenticate(1, &bearer::message_with(token))).await;
    let mut kafka = rig.kafka().await;
    kafka.take_handshake("OAUTHBEARER", 0).await;
    let (message, id) = kafka.take_token().await;
    kafka.give_token(id, 0, b"").await;
    (kafka, claims_of(&message))
}

#[tokio::test]
async fn a_good_token_logs_in_and_kafka_is_told_whose_it_is_by_this_node_alone() {
    let issuer = Issuer::new("k1");
    let mut rig = rig(Some(issuer.trusted()));
    let (mut client, _served) = rig.sasl();
    let (mut kafka, told) = log_in(&mut rig, &mut client, &issuer.token("alice", |_| {})).await;
    assert_eq!(
        (&told["sub"], &told["iss"], &told["aud"]),
        (&json!("alice"), &json!("sluice-gateway"), &json!("ins_test/1"))
    );
    assert!(told["exp"].as_i64().unwrap() - now() <= 60);
    let answer = client.answered().await;
    assert_eq!((answer.error_code, answer.auth_bytes.len()), (0, 0));
    let lifetime = answer.session_lifetime_ms;
    assert!((290_000..=300_000).contains(&lifetime), "as long as the token: {lifetime}");
    client.beats(&mut kafka).await;

    // A newer token for the same user: Kafka need not hear of it.
    assert_eq!(client.choose(1, "OAUTHBEARER").await.error_code, 0);
    let again = client
        .offer(1, &bearer::message_with(&issuer.token("alice", |claims| claims["exp"] = json!(now() + 900))))
        .await;
    assert_eq!(again.error_code, 0);
    assert!(again.session_lifetime_ms > lifetime);
    client.beats(&mut kafka).await;
    // And never somebody else's.
    client.choose(1, "OAUTHBEARER").await;
    assert_eq!(client.offer(1, &bearer::message_with(&issuer.token("bob", |_| {}))).await.error_code, 58);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_with_its_token() {
    let issuer = Issuer::new("k1");
    let mut rig = rig(Some(issuer.trusted()));
    let (mut client, served) = rig.sasl();
    let (mut kafka, _) =
        log_in(&mut rig, &mut client, &issuer.token("alice", |claims| claims["exp"] = json!(now() + 20))).await;
    client.answered().await;
    client.beats(&mut kafka).await;
    let ended = served.await.unwrap();
    assert!(matches!(ended, Err(End::LoginExpired)), "{ended:?}");
}

#[tokio::test]
async fn every_other_token_is_refused_and_kafka_never_hears_of_it() {
    let (issuer, stranger) = (Issuer::new("k1"), Issuer::new("k1"));
    let none = json!({ "alg": "none" });
    let good = json!({ "iss": "https://login.acme.example", "aud": "kafka", "preferred_username": "alice", "exp": now() + 300 });
    let hs256 = json!({ "alg": "HS256", "kid": "k1" });
    let set = |name: &'static str, value: Value| move |claims: &mut Value| claims[name] = value;
    let forged = [
        ("a stranger's signature", stranger.token("alice", |_| {})),
        ("no signature", issuer.sign(none, good.clone())),
        ("a shared secret", issuer.sign(hs256, good.clone())),
        ("another key's id", issuer.sign(json!({ "alg": "ES256", "kid": "k2" }), good.clone())),
        ("an extension", issuer.sign(json!({ "alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false }), good)),
        ("another issuer", issuer.token("alice", set("iss", json!("https://evil.example")))),
        ("another audience", issuer.token("alice", set("aud", json!("web")))),
        ("expired", issuer.token("alice", set("exp", json!(now() - 31)))),
        ("not valid yet", issuer.token("alice", set("nbf", json!(now() + 60)))),
        ("without an end", issuer.token("alice", |claims| drop(claims.as_object_mut().unwrap().remove("exp")))),
        ("an end that is no number", issuer.token("alice", set("exp", json!("never")))),
        ("no user", issuer.token("", |_| {})),
        ("a user that is no text", issuer.token("alice", set("preferred_username", json!(["alice"])))),
        ("a user of many bytes", issuer.token(&"a".repeat(300), |_| {})),
        ("a name that Kafka would trim to the platform's", issuer.token(" sluice-node", |_| {})),
        ("a name that Kafka would trim to another's", issuer.token("mallory ", |_| {})),
        ("who did not log in", issuer.token("ANONYMOUS", |_| {})),
        ("the platform's name", issuer.token("sluice-control-plane", |_| {})),
        ("a disabled user", issuer.token("mallory", |_| {})),
        ("no token", "a.b.c".to_owned()),
        ("a very long one", "a".repeat(20_000)),
    ];
    for (what, token) in forged {
        let rig = rig(Some(issuer.trusted()));
        let (mut client, served) = rig.sasl();
        client.choose(1, "OAUTHBEARER").await;
        let answer = client.offer(1, &bearer::message_with(&token)).await;
        assert_eq!(answer.error_code, 58, "{what}");
        drop(client);
        let ended = served.await.unwrap();
        assert!(matches!(ended, Err(End::Login(LoginError::Refused { .. }))), "{what}: {ended:?}");
    }
}

#[tokio::test]
async fn without_trust_the_mechanism_is_not_offered_and_a_bad_key_set_is_no_spec() {
    let rig = rig(None);
    let (mut client, _served) = rig.sasl();
    let SaslHandshakeResponse { error_code, mechanisms, .. } = client.choose(1, "OAUTHBEARER").await;
    assert_eq!(error_code, 33);
    assert!(mechanisms.iter().all(|mechanism| mechanism.as_str() != "OAUTHBEARER"), "{mechanisms:?}");

    let secret = json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] }).to_string();
    for keys in ["", "{}", &secret] {
        let trust = BearerTrust { keys: keys.to_owned(), ..Issuer::new("k1").trusted() };
        bearer::Trust::parse(&trust).expect_err(keys);
    }
}
