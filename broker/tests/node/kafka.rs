//! A real Kafka under a real node.

use crate::harness::{Node, SOON, connect, der, kill, read, shown_certificate, until};
use crate::support::pki::Authority;
use crate::support::{KAFKA_NEW, KAFKA_OLD, tools_with_kafka};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use broker_api::ports;
use broker_api::spec::ClientCertificates;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// From nothing, on a machine that builds something else meanwhile; and after a kill, Kafka waits until
/// the session of its former self has ended.
const KAFKA_SOON: Duration = Duration::from_secs(90);

#[test]
fn kafka_4_3_gets_ready_and_survives_kills() {
    survives_kills(KAFKA_NEW);
}

#[test]
fn kafka_3_9_gets_ready_and_survives_kills() {
    survives_kills(KAFKA_OLD);
}

fn survives_kills(version: &str) {
    let Some(tools) = tools_with_kafka(version) else { return };
    let mut node = Node::with_kafka(version, tools);
    let names = NameServer::of(&mut node);
    let acme = Authority::new("Acme clients");
    let trust = |acme: &Authority| {
        let ca_pem = acme.pem().to_owned();
        Some(ClientCertificates { ca_pem, crl_pem: String::new(), principal_rules: String::new() })
    };
    node.spec.gateway.client_certificates = trust(&acme);
    node.write_boot_spec(&node.spec);
    node.start_with_gateway();
    let first = node.wait_until_running_within(KAFKA_SOON);
    until("a ready node", KAFKA_SOON, || Some(()).filter(|()| node.ask("GET", "/readyz", b"").0 == 200));

    let key = std::fs::read(node.path("kafka/token-key.der")).unwrap();
    let token = |subject: &str, audience: &str| token(&key, subject, audience);
    let audience = format!("{}/1", node.instance.id);
    assert_eq!(login(&node, &token("alice", &audience)), 0, "the broker refused a token of its node's gateway");
    assert_eq!(login(&node, &token("alice", "another/1")), SASL_AUTHENTICATION_FAILED, "a token for another node");
    assert_eq!(names.asked(), 0, "logins wait for a name server");

    let alice = acme.issue("alice, of Acme", &[]);
    let address = SocketAddr::new(node.spec.kafka.bind, ports::PRIVATE_SASL_SSL);
    let sign_in = |node: &Node| {
        let mut client = connect(address, Some(&alice), &node.spec.gateway.server_tls.ca_pem).ok()?;
        token_owner(&mut client).filter(|name| name == "CN=alice\\, of Acme").map(|_| client)
    };
    until("Kafka's name for who showed a certificate", KAFKA_SOON, || sign_in(&node));

    node.kill_supervisor();
    node.start_with_gateway();
    assert_eq!(node.wait_until_running_within(KAFKA_SOON), first);
    let mut by_certificate = until("a client with a certificate", KAFKA_SOON, || sign_in(&node));

    // A setting that the running broker takes without a restart.
    let mut changed = node.spec.clone();
    changed.generation = 2;
    changed.kafka.max_message_bytes = 5 << 20;
    // And a certificate that it takes too.
    let names = [node.spec.kafka.internal_host.clone(), "localhost".to_owned()];
    changed.kafka.internal_tls = node.instance.internal_ca.issue("sluice-node", &names);
    // And another authority of clients, which ends who came by the first.
    changed.gateway.client_certificates = trust(&Authority::new("Acme clients"));
    assert_eq!(node.put_spec(&changed).0, 200);
    until("the end of who is not trusted any more", SOON, || token_owner(&mut by_certificate).is_none().then_some(()));
    let in_force = node.path("kafka/in-force.json");
    until("the changed setting", KAFKA_SOON, || read(&in_force).contains("\"generation\":2").then_some(()));
    assert_eq!(node.wait_until_running(), first);

    for port in [ports::INTERNAL, ports::CONTROLLER] {
        let address = SocketAddr::new(node.spec.kafka.bind, port);
        let new = der(&changed.kafka.internal_tls.certificate_pem);
        until("the new certificate between brokers", KAFKA_SOON, || {
            shown_certificate(address, &changed.kafka.internal_tls).ok().filter(|shown| *shown == new.as_ref())
        });
    }
    assert_eq!(node.wait_until_running(), first);

    kill(first);
    let second = until("another broker", KAFKA_SOON, || node.status().pid.filter(|pid| *pid != first));
    assert_eq!(node.wait_until_running_within(KAFKA_SOON), second);
    until("a ready node", KAFKA_SOON, || Some(()).filter(|()| node.ask("GET", "/readyz", b"").0 == 200));

    let (status, body) = node.ask_supervisor("POST", "/stop", b"").unwrap();
    assert_eq!(status, 200);
    assert!(body.contains("exited with status 143"), "Kafka did not end in peace: {body}");
    assert!(node.wait_for_supervisor());
}

/// A name server that never answers, in place of the machine's.
struct NameServer(Option<UdpSocket>);

impl NameServer {
    /// Only root may put it there; for others the node asks the machine's, and what it asks is not known.
    fn of(node: &mut Node) -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self(None);
        }
        let socket = UdpSocket::bind((node.spec.kafka.bind, 53)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let resolver = node.path("resolv.conf");
        std::fs::write(&resolver, format!("nameserver {}\n", node.spec.kafka.bind)).unwrap();
        node.resolver = Some(resolver);
        Self(Some(socket))
    }

    /// How often it was asked since it was last looked at.
    fn asked(&self) -> usize {
        let mut question = [0; 512];
        self.0.iter().map(|socket| std::iter::from_fn(|| socket.recv(&mut question).ok()).count()).sum()
    }
}

/// What the gateway will sign to assert who a client is (architecture.md, point 3): ES256, a minute.
#[expect(clippy::disallowed_methods, reason = "Kafka, which checks the times, has no other clock")]
fn token(pkcs8: &[u8], subject: &str, audience: &str) -> String {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let header = serde_json::json!({ "alg": "ES256", "kid": "node", "typ": "JWT" });
    let claims = serde_json::json!({
        "iss": "sluice-gateway", "aud": audience, "sub": subject, "iat": now, "exp": now + 60,
    });
    let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = key.sign(&random, signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

const SASL_AUTHENTICATION_FAILED: i16 = 58;
const ILLEGAL_SASL_STATE: i16 = 34;

/// Logs in at SAS with OAUTHBEARER (RFC 7628), and tells Kafka's error code.
fn login(node: &Node, token: &str) -> i16 {
    let mut stream = TcpStream::connect((node.spec.kafka.bind, ports::UPSTREAM_SASL)).unwrap();
    let mechanism = b"OAUTHBEARER";
    let mut handshake = (mechanism.len() as u16).to_be_bytes().to_vec();
    handshake.extend(mechanism);
    assert_eq!(call(&mut stream, 17, 1, &handshake), 0, "OAUTHBEARER is not offered");
    let message = format!("n,,\x01auth=Bearer {token}\x01\x01");
    let mut authenticate = |message: &[u8]| {
        let mut body = (message.len() as u32).to_be_bytes().to_vec();
        body.extend(message);
        call(&mut stream, 36, 0, &body)
    };
    assert_eq!(authenticate(message.as_bytes()), 0);
    // A refusal comes as a challenge first (RFC 7628 §3.2.3), and this is its answer. After success it is one message
    // too many, which Kafka answers with ILLEGAL_SASL_STATE.
    match authenticate(b"\x01") {
        ILLEGAL_SASL_STATE => 0,
        error => error,
    }
}

/// Whom Kafka takes the client for: whoever logged in may make a delegation token, and is its owner. None when the
/// connection has ended; empty while Kafka can't make any.
fn token_owner(stream: &mut (impl Read + Write)) -> Option<String> {
    // Version 1: nobody may renew it, and it lives as long as the broker lets it.
    let answer = exchange(stream, 38, 1, &[&[0; 4][..], &(-1i64).to_be_bytes()].concat()).ok()?;
    if answer[4..6] != [0, 0] {
        return Some(String::new());
    }
    let mut rest = &answer[6..];
    let mut text = || {
        let (length, after) = rest.split_first_chunk::<2>().unwrap();
        let (text, after) = after.split_at(u16::from_be_bytes(*length).into());
        rest = after;
        String::from_utf8(text.to_vec()).unwrap()
    };
    assert_eq!(text(), "User");
    Some(text())
}

/// One request with a header of version 1; the answer's first field is its error code.
fn call(stream: &mut TcpStream, key: i16, version: i16, body: &[u8]) -> i16 {
    let answer = exchange(stream, key, version, body).unwrap();
    i16::from_be_bytes([answer[4], answer[5]])
}

fn exchange(stream: &mut (impl Read + Write), key: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut request = (10 + body.len() as u32).to_be_bytes().to_vec();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(7i32.to_be_bytes());
    request.extend((-1i16).to_be_bytes());
    request.extend(body);
    stream.write_all(&request)?;
    stream.flush()?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
