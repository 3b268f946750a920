//! Logins against a Kafka that the test scripts: PLAIN proved by SCRAM, SCRAM carried through, old
//! and new framing, and everything that must be refused.

use super::super::connection::End;
use super::super::login::LoginError;
use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use broker_api::connections::ConnectionFilter;
use kafka_protocol::messages::*;
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

const SALT: &[u8] = b"salt of alice";
const ITERATIONS: u32 = 4096;
const LIFETIME: i64 = 3_600_000;

/// Kafka's side of a SCRAM-SHA-512 exchange for one user.
struct ScramServer {
    password: &'static str,
    first_bare: String,
    server_first: String,
}

impl ScramServer {
    fn new(password: &'static str) -> Self {
        Self { password, first_bare: String::new(), server_first: String::new() }
    }

    fn challenge(&mut self, client_first: &[u8]) -> Vec<u8> {
        let first = std::str::from_utf8(client_first).unwrap();
        self.first_bare = first.strip_prefix("n,,").expect("no channel binding").to_owned();
        let nonce = self.first_bare.split(",r=").nth(1).expect("a nonce");
        self.server_first = format!("r={nonce}srv,s={},i={ITERATIONS}", BASE64.encode(SALT));
        self.server_first.clone().into_bytes()
    }

    /// The server's signature, if the proof is right.
    fn verify(&self, client_final: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(client_final).unwrap();
        let (without_proof, proof) = text.rsplit_once(",p=").expect("a proof");
        let mut salted = [0; 64];
        let iterations = NonZeroU32::new(ITERATIONS).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, iterations, SALT, self.password.as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, key), text);
        let stored = digest::digest(&digest::SHA512, sign(&salted, b"Client Key").as_ref());
        let message = format!("{},{},{without_proof}", self.first_bare, self.server_first);
        let signature = sign(stored.as_ref(), message.as_bytes());
        let key: Vec<u8> = BASE64.decode(proof).unwrap().iter().zip(signature.as_ref()).map(|(p, s)| p ^ s).collect();
        if digest::digest(&digest::SHA512, &key).as_ref() != stored.as_ref() {
            return None;
        }
        let server_key = sign(&salted, b"Server Key");
        let verifier = sign(server_key.as_ref(), message.as_bytes());
        Some(format!("v={}", BASE64.encode(verifier)).into_bytes())
    }
}

pub(super) fn handshake(version: i16, mechanism: &str) -> Vec<u8> {
    request(ApiKey::SaslHandshake, version, 1, &SaslHandshakeRequest::default().with_mechanism(text(mechanism)))
}

pub(super) fn authenticate(version: i16, token: &[u8]) -> Vec<u8> {
    let message = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::copy_from_slice(token));
    request(ApiKey::SaslAuthenticate, version, 2, &message)
}

fn correlation(frame: &[u8]) -> i32 {
    i32::from_be_bytes(frame[8..12].try_into().unwrap())
}

impl Peer {
    /// Kafka: takes a handshake for `mechanism`, answering `error`.
    pub(super) async fn take_handshake(&mut self, mechanism: &str, error: i16) {
        let frame = self.frame().await;
        let asked = read_request::<SaslHandshakeRequest>(ApiKey::SaslHandshake, 1, &frame);
        assert_eq!(asked.mechanism.as_str(), mechanism);
        let answer =
            SaslHandshakeResponse::default().with_error_code(error).with_mechanisms(vec![text("SCRAM-SHA-512")]);
        self.send(&response(ApiKey::SaslHandshake, 1, correlation(&frame), &answer)).await;
    }

    /// Kafka: takes a SASL message.
    pub(super) async fn take_token(&mut self) -> (Vec<u8>, i32) {
        let frame = self.frame().await;
        let asked = read_request::<SaslAuthenticateRequest>(ApiKey::SaslAuthenticate, 2, &frame);
        (asked.auth_bytes.to_vec(), correlation(&frame))
    }

    /// Kafka: answers a SASL message.
    pub(super) async fn give_token(&mut self, correlation: i32, error: i16, token: &[u8]) {
        let answer = SaslAuthenticateResponse::default()
            .with_error_code(error)
            .with_error_message((error != 0).then(|| text("no")))
            .with_auth_bytes(Bytes::copy_from_slice(token))
            .with_session_lifetime_ms(LIFETIME);
        self.send(&response(ApiKey::SaslAuthenticate, 2, correlation, &answer)).await;
    }

    /// Kafka: one SCRAM-SHA-512 login by `password`; whether it succeeded.
    async fn serve_scram(&mut self, password: &'static str) -> bool {
        self.take_handshake("SCRAM-SHA-512", 0).await;
        let mut server = ScramServer::new(password);
        let (first, id) = self.take_token().await;
        self.give_token(id, 0, &server.challenge(&first)).await;
        let (last, id) = self.take_token().await;
        match server.verify(&last) {
            Some(verifier) => self.give_token(id, 0, &verifier).await,
            None => {
                self.give_token(id, 58, b"").await;
                return false;
            }
        }
        true
    }

    /// Client: chooses `mechanism`.
    pub(super) async fn choose(&mut self, version: i16, mechanism: &str) -> SaslHandshakeResponse {
        self.send(&handshake(version, mechanism)).await;
        read_response::<SaslHandshakeResponse>(ApiKey::SaslHandshake, version, &self.frame().await).1
    }

    /// Client: sends a SASL message and gets the answer.
    pub(super) async fn offer(&mut self, version: i16, token: &[u8]) -> SaslAuthenticateResponse {
        self.send(&authenticate(version, token)).await;
        read_response::<SaslAuthenticateResponse>(ApiKey::SaslAuthenticate, version, &self.frame().await).1
    }

    /// Client: gets the answer to a SASL message of version 1.
    pub(super) async fn answered(&mut self) -> SaslAuthenticateResponse {
        read_response::<SaslAuthenticateResponse>(ApiKey::SaslAuthenticate, 1, &self.frame().await).1
    }

    /// Client: logs in as alice; Kafka's side of it.
    async fn log_in(&mut self, rig: &mut Rig) -> Peer {
        self.choose(1, "PLAIN").await;
        self.send(&authenticate(1, b"\0alice\0pencil")).await;
        let mut kafka = rig.kafka().await;
        assert!(kafka.serve_scram("pencil").await);
        self.frame().await;
        kafka
    }

    /// Either: a relayed request and its answer go through.
    pub(super) async fn beats(&mut self, kafka: &mut Peer) {
        self.send(&opaque_request(12, 0, 9, b"beat")).await;
        assert_eq!(kafka.frame().await, opaque_request(12, 0, 9, b"beat"));
        kafka.send(&opaque_response(9, b"ok")).await;
        assert_eq!(self.frame().await, opaque_response(9, b"ok"));
    }
}

#[tokio::test]
async fn a_plain_password_is_proved_to_kafka_by_scram_in_every_version() {
    for version in 0..=2 {
        let mut rig = Rig::new();
        let (mut client, _served) = rig.sasl();
        let chosen = client.choose(1, "PLAIN").await;
        let mechanisms: Vec<_> = chosen.mechanisms.iter().map(|m| m.to_string()).collect();
        assert_eq!((chosen.error_code, mechanisms.join(" ")), (0, "PLAIN SCRAM-SHA-256 SCRAM-SHA-512".to_owned()));
        client.send(&authenticate(version, b"\0alice\0pencil")).await;
        let mut kafka = rig.kafka().await;
        assert!(kafka.serve_scram("pencil").await);
        let (_, answer) =
            read_response::<SaslAuthenticateResponse>(ApiKey::SaslAuthenticate, version, &client.frame().await);
        assert_eq!((answer.error_code, answer.auth_bytes.len()), (0, 0));
        assert_eq!(
            answer.session_lifetime_ms,
            if version >= 1 { LIFETIME } else { 0 },
            "Kafka's session lifetime is passed on"
        );
        client.beats(&mut kafka).await;
    }
}

#[tokio::test]
async fn a_client_of_handshake_0_logs_in_by_bare_tokens() {
    let mut rig = Rig::new();
    let (mut client, _served) = rig.sasl();
    assert_eq!(client.choose(0, "PLAIN").await.error_code, 0);
    client.send(&sealed(b"\0alice\0pencil")).await;
    let mut kafka = rig.kafka().await;
    assert!(kafka.serve_scram("pencil").await);
    assert_eq!(client.frame().await, sealed(b""));
    client.beats(&mut kafka).await;
}

#[tokio::test]
async fn a_wrong_password_is_answered_and_then_the_connection_ends() {
    let mut rig = Rig::new();
    let (mut client, served) = rig.sasl();
    client.choose(1, "PLAIN").await;
    client.send(&authenticate(1, b"\0alice\0guess")).await;
    let mut kafka = rig.kafka().await;
    assert!(!kafka.serve_scram("pencil").await);
    let (_, answer) = read_response::<SaslAuthenticateResponse>(ApiKey::SaslAuthenticate, 1, &client.frame().await);
    assert_eq!(answer.error_code, 58);
    assert_eq!(client.rest().await, b"");
    drop(client);
    let end = within(served).await.unwrap().unwrap_err();
    assert!(matches!(&end, End::Login(LoginError::Refused { user, .. }) if user == "alice"));
    assert!(!format!("{end:?}").contains("guess"), "no password in what is logged");
}

#[tokio::test]
async fn a_user_with_only_the_other_hash_logs_in_on_a_fresh_connection() {
    let mut rig = Rig::new();
    let (mut client, _served) = rig.sasl();
    client.choose(1, "PLAIN").await;
    client.send(&authenticate(1, b"\0alice\0pencil")).await;
    // Kafka has no SHA-512 credential: it refuses the first message and closes.
    let mut first = rig.kafka().await;
    first.take_handshake("SCRAM-SHA-512", 0).await;
    let (_, id) = first.take_token().await;
    first.give_token(id, 58, b"").await;
    let mut second = rig.kafka().await;
    second.take_handshake("SCRAM-SHA-256", 0).await;
    let (token, id) = second.take_token().await;
    assert!(token.starts_with(b"n,,n=alice,r="));
    second.give_token(id, 58, b"").await;
    let (_, answer) = read_response::<SaslAuthenticateResponse>(ApiKey::SaslAuthenticate, 1, &client.frame().await);
    assert_eq!(answer.error_code, 58, "neither hash: refused");
}

#[tokio::test]
async fn scram_passes_through_token_by_token() {
    for version in 0..=2 {
        let mut rig = Rig::new();
        let (mut client, _served) = rig.sasl();
        assert_eq!(client.choose(1, "SCRAM-SHA-256").await.error_code, 0);
        client.send(&authenticate(version, b"n,,n=alice,r=abc")).await;
        let mut kafka = rig.kafka().await;
        kafka.take_handshake("SCRAM-SHA-256", 0).await;
        for (asked, answer) in
            [(&b"n,,n=alice,r=abc"[..], &b"r=abcdef,s=c2FsdA==,i=4096"[..]), (b"c=biws,r=abcdef,p=cA==", b"v=dg==")]
        {
            if asked.starts_with(b"c=") {
                client.send(&authenticate(version, asked)).await;
            }
            let (token, id) = kafka.take_token().await;
            assert_eq!(token, asked);
            kafka.give_token(id, 0, answer).await;
            let (_, got) =
                read_response::<SaslAuthenticateResponse>(ApiKey::SaslAuthenticate, version, &client.frame().await);
            assert_eq!(got.auth_bytes, answer);
        }
        client.beats(&mut kafka).await;
    }
}

#[tokio::test]
async fn disabled_users_and_the_platforms_names_are_refused_without_asking_kafka() {
    for user in ["mallory", "sluice", "sluice-node", "sluice-control-plane"] {
        for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
            let rig = Rig::new();
            let (mut client, served) = rig.sasl();
            client.choose(1, mechanism).await;
            let token = if mechanism == "PLAIN" { format!("\0{user}\0secret") } else { format!("n,,n={user},r=abc") };
            let answer = client.offer(1, token.as_bytes()).await;
            assert_eq!(answer.error_code, 58, "{user} by {mechanism}");
            assert_eq!(client.rest().await, b"");
            drop(client);
            assert!(matches!(within(served).await.unwrap(), Err(End::Login(LoginError::Refused { .. }))));
        }
    }
}

#[tokio::test]
async fn a_user_who_is_disabled_loses_the_connection_at_once() {
    let mut rig = Rig::new();
    let (mut client, served) = rig.sasl();
    let mut kafka = client.log_in(&mut rig).await;
    client.beats(&mut kafka).await;
    let mut spec = spec();
    rig.shared.swap(Snapshot::build(&spec).unwrap());
    client.beats(&mut kafka).await;
    spec.gateway.disabled_users.push("alice".into());
    rig.shared.swap(Snapshot::build(&spec).unwrap());
    assert_eq!(client.rest().await, b"");
    assert!(matches!(within(served).await.unwrap(), Err(End::UserDisabled)));
}

#[tokio::test]
async fn a_login_from_before_a_new_password_ends_and_one_from_after_it_stays() {
    let mut spec = spec();
    let mut rig = Rig::new();
    rig.shared.swap(Snapshot::build(&spec).unwrap());
    let (mut before, ended) = rig.sasl();
    let mut kafka_before = before.log_in(&mut rig).await;
    before.beats(&mut kafka_before).await;
    // Kafka has the new password; then nodes are told.
    spec.generation += 1;
    spec.gateway.ended_logins.insert("alice".into(), spec.generation);
    rig.shared.swap(Snapshot::build(&spec).unwrap());
    assert_eq!(before.rest().await, b"");
    assert!(matches!(within(ended).await.unwrap(), Err(End::LoginEnded)));

    let (mut after, _served) = rig.sasl();
    let mut kafka_after = after.log_in(&mut rig).await;
    after.beats(&mut kafka_after).await;
    spec.generation += 1;
    spec.gateway.ended_logins.insert("bob".into(), spec.generation);
    rig.shared.swap(Snapshot::build(&spec).unwrap());
    after.beats(&mut kafka_after).await;
}

#[tokio::test]
async fn a_login_with_an_old_password_that_is_under_way_ends_with_the_reset() {
    let mut spec = spec();
    let mut rig = Rig::new();
    let (mut client, ended) = rig.sasl();
    client.choose(1, "PLAIN").await;
    spec.generation += 1;
    spec.gateway.ended_logins.insert("alice".into(), spec.generation);
    client.send(&authenticate(1, b"\0alice\0pencil")).await;
    let mut kafka = rig.kafka().await;
    rig.shared.swap(Snapshot::build(&spec).unwrap());
    kafka.serve_scram("pencil").await;
    client.frame().await;
    assert_eq!(client.rest().await, b"");
    assert!(matches!(within(ended).await.unwrap(), Err(End::LoginEnded)));
}

#[tokio::test]
async fn an_unknown_mechanism_is_answered_with_those_that_are_accepted() {
    let rig = Rig::new();
    let (mut client, _served) = rig.sasl();
    let answer = client.choose(1, "GSSAPI").await;
    assert_eq!((answer.error_code, answer.mechanisms.len()), (33, 3));
    assert_eq!(client.rest().await, b"");
}

fn without(disabled: &[SaslMechanism]) -> Snapshot {
    let mut spec = spec();
    spec.gateway.disabled_mechanisms = disabled.to_vec();
    Snapshot::build(&spec).unwrap()
}

fn names(answer: &SaslHandshakeResponse) -> Vec<&str> {
    answer.mechanisms.iter().map(|mechanism| mechanism.as_str()).collect()
}

#[tokio::test]
async fn a_mechanism_that_is_off_is_not_offered_and_refused_with_those_that_are_on() {
    let mut rig = Rig::new();
    rig.shared.swap(without(&[SaslMechanism::Plain, SaslMechanism::ScramSha256]));
    for (version, mechanism) in [(0, "PLAIN"), (1, "PLAIN"), (1, "SCRAM-SHA-256")] {
        let (mut client, served) = rig.sasl();
        let answer = client.choose(version, mechanism).await;
        assert_eq!((answer.error_code, names(&answer)), (33, vec!["SCRAM-SHA-512"]), "{mechanism}");
        assert_eq!(client.rest().await, b"");
        drop(client);
        assert!(matches!(within(served).await.unwrap(), Err(End::Login(LoginError::Protocol(_)))));
    }
    let (mut client, _served) = rig.sasl();
    assert_eq!(client.choose(1, "SCRAM-SHA-512").await.error_code, 0);

    // How a password is proved to Kafka is none of the clients' mechanisms.
    rig.shared.swap(without(&[SaslMechanism::ScramSha256, SaslMechanism::ScramSha512]));
    let (mut client, _served) = rig.sasl();
    let mut kafka = client.log_in(&mut rig).await;
    client.beats(&mut kafka).await;
}

/// Client: logs in by SCRAM-SHA-512, which passes through; Kafka's side of it.
async fn log_in_by_scram(rig: &mut Rig, client: &mut Peer) -> Peer {
    client.choose(1, "SCRAM-SHA-512").await;
    client.send(&authenticate(1, b"n,,n=alice,r=abc")).await;
    let mut kafka = rig.kafka().await;
    kafka.take_handshake("SCRAM-SHA-512", 0).await;
    let (_, id) = kafka.take_token().await;
    kafka.give_token(id, 0, b"v=dg==").await;
    client.answered().await;
    kafka
}

#[tokio::test]
async fn a_mechanism_that_is_switched_off_ends_its_own_connections_and_no_other() {
    let mut rig = Rig::new();
    let (mut plain, ended) = rig.sasl();
    let mut kafka_of_plain = plain.log_in(&mut rig).await;
    plain.beats(&mut kafka_of_plain).await;
    let (mut scram, _served) = rig.sasl();
    let mut kafka_of_scram = log_in_by_scram(&mut rig, &mut scram).await;
    let (mut anonymous, _served) = rig.plaintext();
    let mut kafka_of_anonymous = rig.kafka().await;
    anonymous.beats(&mut kafka_of_anonymous).await;

    rig.shared.swap(without(&[SaslMechanism::Plain]));
    assert_eq!(plain.rest().await, b"");
    assert!(matches!(within(ended).await.unwrap(), Err(End::MechanismDisabled)));
    scram.beats(&mut kafka_of_scram).await;
    anonymous.beats(&mut kafka_of_anonymous).await;

    rig.shared.swap(without(&[]));
    let (mut plain, _served) = rig.sasl();
    let mut kafka_of_plain = plain.log_in(&mut rig).await;
    plain.beats(&mut kafka_of_plain).await;
    scram.beats(&mut kafka_of_scram).await;
}

#[tokio::test]
async fn a_login_that_is_under_way_is_refused_when_its_mechanism_is_switched_off() {
    for (mechanism, token) in [("PLAIN", &b"\0alice\0pencil"[..]), ("SCRAM-SHA-512", b"n,,n=alice,r=abc")] {
        let rig = Rig::new();
        let (mut client, ended) = rig.sasl();
        assert_eq!(client.choose(1, mechanism).await.error_code, 0);
        rig.shared.swap(without(&[SaslMechanism::Plain, SaslMechanism::ScramSha512]));
        assert_eq!(client.offer(1, token).await.error_code, 58, "{mechanism}");
        assert_eq!(client.rest().await, b"");
        drop(client);
        assert!(matches!(within(ended).await.unwrap(), Err(End::Login(LoginError::Refused { .. }))));
    }
    // Kafka has the password already: the login is through, and ends at once.
    let mut rig = Rig::new();
    let (mut client, ended) = rig.sasl();
    client.choose(1, "PLAIN").await;
    client.send(&authenticate(1, b"\0alice\0pencil")).await;
    let mut kafka = rig.kafka().await;
    rig.shared.swap(without(&[SaslMechanism::Plain]));
    kafka.serve_scram("pencil").await;
    client.frame().await;
    assert_eq!(client.rest().await, b"");
    assert!(matches!(within(ended).await.unwrap(), Err(End::MechanismDisabled)));
}

#[tokio::test]
async fn who_logs_in_again_by_another_mechanism_is_kept_when_the_first_is_switched_off() {
    let mut rig = Rig::new();
    let (mut client, _served) = rig.sasl();
    let mut kafka = client.log_in(&mut rig).await;
    client.choose(1, "SCRAM-SHA-512").await;
    client.send(&authenticate(1, b"n,,n=alice,r=abc")).await;
    kafka.take_handshake("SCRAM-SHA-512", 0).await;
    let (_, id) = kafka.take_token().await;
    kafka.give_token(id, 0, b"v=dg==").await;
    client.answered().await;
    client.beats(&mut kafka).await;
    let listed = rig.shared.live.list(&ConnectionFilter::default(), 0, 10).connections;
    assert_eq!(listed[0].mechanism.as_deref(), Some("SCRAM-SHA-512"), "and the list of connections says so");
    rig.shared.swap(without(&[SaslMechanism::Plain]));
    client.beats(&mut kafka).await;
    // By the one that is off it logs in no more.
    assert_eq!(client.choose(1, "PLAIN").await.error_code, 33);
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn nothing_but_api_versions_and_the_login_is_served_before_it() {
    for key in [0, 1, 3, 12, 60] {
        let rig = Rig::new();
        let (mut client, served) = rig.sasl();
        client.send(&opaque_request(key, 0, 1, &[0; 16])).await;
        assert_eq!(client.rest().await, b"");
        drop(client);
        assert!(matches!(within(served).await.unwrap(), Err(End::Login(LoginError::Protocol(_)))));
    }
    let rig = Rig::new();
    let (mut client, _served) = rig.sasl();
    assert_eq!(client.offer(1, b"\0alice\0pencil").await.error_code, 34, "a token before the handshake");
}

#[tokio::test]
async fn api_versions_before_the_login_is_asked_of_kafka_and_filtered() {
    let mut rig = Rig::new();
    let (mut client, _served) = rig.sasl();
    let asked = request(ApiKey::ApiVersions, 3, 8, &ApiVersionsRequest::default());
    client.send(&asked).await;
    let mut kafka = rig.kafka().await;
    assert_eq!(kafka.frame().await, asked);
    let api = api_versions_response::ApiVersion::default().with_api_key(58);
    kafka.send(&response(ApiKey::ApiVersions, 3, 8, &ApiVersionsResponse::default().with_api_keys(vec![api]))).await;
    let (id, got) = read_response::<ApiVersionsResponse>(ApiKey::ApiVersions, 3, &client.frame().await);
    assert_eq!((id, got.api_keys.len()), (8, 0), "Envelope is not offered");
    // The same connection to Kafka carries the login.
    client.choose(1, "PLAIN").await;
    client.send(&authenticate(1, b"\0alice\0pencil")).await;
    assert!(kafka.serve_scram("pencil").await);
    client.frame().await;
    client.beats(&mut kafka).await;
}

#[tokio::test]
async fn a_client_logs_in_again_in_the_middle_of_its_requests() {
    let mut rig = Rig::new();
    let (mut client, _served) = rig.sasl();
    client.choose(1, "PLAIN").await;
    client.send(&authenticate(1, b"\0alice\0pencil")).await;
    let mut kafka = rig.kafka().await;
    kafka.serve_scram("pencil").await;
    client.frame().await;
    // A request is in flight when the new login starts: its answer comes first.
    client.send(&opaque_request(12, 0, 5, b"beat")).await;
    client.send(&handshake(1, "PLAIN")).await;
    kafka.frame().await;
    kafka.send(&opaque_response(5, b"ok")).await;
    assert_eq!(client.frame().await, opaque_response(5, b"ok"));
    let (_, chosen) = read_response::<SaslHandshakeResponse>(ApiKey::SaslHandshake, 1, &client.frame().await);
    assert_eq!(chosen.error_code, 0);
    client.send(&authenticate(2, b"\0alice\0pencil")).await;
    assert!(kafka.serve_scram("pencil").await);
    let (_, answer) = read_response::<SaslAuthenticateResponse>(ApiKey::SaslAuthenticate, 2, &client.frame().await);
    assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, LIFETIME));
    client.beats(&mut kafka).await;
}

#[tokio::test]
async fn frames_before_the_login_are_bounded() {
    for length in [-1, i32::MIN, 524_289, i32::MAX] {
        let rig = Rig::new();
        let (mut client, served) = rig.sasl();
        client.send(&length.to_be_bytes()).await;
        assert_eq!(client.rest().await, b"", "length {length}");
        drop(client);
        assert!(matches!(within(served).await.unwrap(), Err(End::Login(LoginError::Protocol(_)))));
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_never_ends_a_login_is_closed_in_time() {
    for sent in [&b""[..], &handshake(1, "PLAIN")[..7], &handshake(1, "PLAIN")] {
        let rig = Rig::new();
        let began = Instant::now();
        let (mut client, served) = rig.sasl();
        client.0.write_all(sent).await.unwrap();
        assert!(matches!(served.await.unwrap(), Err(End::LoginTimeout)));
        let seconds = began.elapsed().as_secs_f64();
        assert!((10.0..16.0).contains(&seconds), "after {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plaintext_client_that_asks_nothing_is_closed_in_time_and_an_idle_one_later() {
    let mut rig = Rig::new();
    let began = Instant::now();
    let (_silent, served) = rig.plaintext();
    assert!(matches!(served.await.unwrap(), Err(End::LoginTimeout)));
    assert_eq!(began.elapsed().as_secs(), 10);
    drop(rig.kafka().await);

    let (mut client, served) = rig.plaintext();
    client.0.write_all(&opaque_request(12, 0, 1, b"")).await.unwrap();
    let mut kafka = rig.kafka.recv().await.unwrap();
    let mut frame = vec![0; opaque_request(12, 0, 1, b"").len()];
    kafka.read_exact(&mut frame).await.unwrap();
    let began = Instant::now();
    assert!(matches!(served.await.unwrap(), Err(End::Idle)));
    assert_eq!(began.elapsed().as_secs(), 600);
}
