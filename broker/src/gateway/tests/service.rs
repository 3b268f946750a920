//! The gateway on real sockets: listeners, certificates and limits that change under live
//! connections, a successor that takes over.

use super::super::{Gateway, GatewayError};
use super::*;
use crate::incarnation::Incarnation;
use prometheus_client::encoding::text::encode;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A Kafka that echoes: answers every request with its own body, after the correlation id. It takes every login.
pub(super) struct Echo {
    pub(super) bind: IpAddr,
}

impl Echo {
    pub(super) async fn start() -> Self {
        // Loopback addresses of this process and test, so that the real ports are free.
        static USED: AtomicU8 = AtomicU8::new(1);
        let pid = std::process::id().to_be_bytes();
        let bind = IpAddr::V4(Ipv4Addr::new(127, 192 + pid[2] % 60, pid[3], USED.fetch_add(1, Ordering::Relaxed)));
        for port in [broker_api::ports::UPSTREAM_PLAINTEXT, broker_api::ports::UPSTREAM_SASL] {
            let listener = TcpListener::bind((bind, port)).await.expect("a free loopback address");
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(echo(stream));
                }
            });
        }
        Self { bind }
    }

    pub(super) fn spec(&self) -> NodeSpec {
        let mut spec = spec();
        spec.kafka.bind = self.bind;
        for listener in &mut spec.gateway.listeners {
            let port = if listener.path.is_tls() { 9093 } else { 9092 };
            listener.bind = SocketAddr::new(self.bind, port);
        }
        spec
    }

    pub(super) async fn client(&self) -> TcpStream {
        TcpStream::connect((self.bind, 9092)).await.expect("the gateway listens")
    }

    /// A TLS handshake that trusts only `ca`; also gives the certificate shown.
    async fn handshake(&self, ca: &TlsIdentity) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.ca_pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect((self.bind, 9093)).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(HOST).unwrap(), stream).await
    }
}

async fn echo(mut stream: TcpStream) {
    while let Ok(length) = stream.read_i32().await {
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        if stream.read_exact(&mut frame).await.is_err() {
            return;
        }
        let answer = match frame[..2] {
            // SaslHandshake 1, SaslAuthenticate 2: no error, and nothing more to say.
            [0, 17] => sealed(&[&frame[4..8], &[0; 6]].concat()),
            [0, 36] => sealed(&[&frame[4..8], &[0, 0, 0, 0, 1], &[0; 9]].concat()),
            _ => sealed(&frame[4..]),
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

pub(super) async fn beats<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    stream.write_all(&opaque_request(12, 0, 9, b"beat")).await?;
    let mut answer = vec![0; opaque_response(9, b"beat").len()];
    within(stream.read_exact(&mut answer)).await?;
    assert_eq!(answer, opaque_response(9, b"beat"));
    Ok(())
}

pub(super) fn start(spec: &NodeSpec) -> (Gateway, Registry) {
    let mut registry = Registry::default();
    let own = Incarnation::begin(tempfile::tempdir().expect("a directory").path()).expect("a life");
    (Gateway::start(spec, signer(), own, &mut registry).expect("a good spec"), registry)
}

#[tokio::test]
async fn a_client_that_prefers_aes_256_is_served_with_aes_128() {
    let kafka = Echo::start().await;
    let spec = kafka.spec();
    let _gateway = start(&spec);
    let served = kafka.handshake(&spec.gateway.server_tls).await.unwrap();
    let suite = served.get_ref().1.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
}

#[tokio::test]
async fn certificates_change_under_live_connections_and_a_bad_pair_changes_nothing() {
    let kafka = Echo::start().await;
    let mut spec = kafka.spec();
    let (gateway, _) = start(&spec);
    let mut live = kafka.client().await;
    for _ in 0..20 {
        let old = spec.gateway.server_tls.clone();
        let serial = gateway.status().certificate_serial;
        spec.gateway.server_tls = identity();
        gateway.apply(&spec).unwrap();
        assert_ne!(gateway.status().certificate_serial, serial);
        kafka.handshake(&spec.gateway.server_tls).await.expect("the new certificate is shown");
        kafka.handshake(&old).await.expect_err("the old one is not");

        let mut bad = spec.clone();
        bad.gateway.server_tls.key_pem = identity().key_pem;
        let refused = gateway.apply(&bad).unwrap_err();
        assert!(matches!(refused, GatewayError::Certificate { field: "server_tls", .. }), "{refused}");
        bad.gateway.server_tls.key_pem = Secret::new("no key");
        assert!(!gateway.apply(&bad).unwrap_err().to_string().contains("no key"), "a key is never quoted");
        kafka.handshake(&spec.gateway.server_tls).await.expect("the good one stays");
        beats(&mut live).await.unwrap();
    }
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_served() {
    let kafka = Echo::start().await;
    let (_gateway, _) = start(&kafka.spec());
    let ca = kafka.spec().gateway.server_tls;
    drop(ca);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let stream = TcpStream::connect((kafka.bind, 9093)).await.unwrap();
        let failed = TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(HOST).unwrap(), stream)
            .await
            .unwrap_err();
        // The version was agreed on and a certificate shown: only trust is missing.
        assert!(failed.to_string().contains("UnknownIssuer"), "{version:?}: {failed}");
    }
}

#[tokio::test]
async fn a_spec_that_cannot_be_served_is_refused_with_its_field() {
    let kafka = Echo::start().await;
    let spec = kafka.spec();
    let (gateway, _) = start(&spec);
    type Spoil = fn(&mut NodeSpec);
    let cases: [(Spoil, &str); 6] = [
        (|s| s.gateway.limits.login_timeout_ms = 0, "limits.login_timeout_ms is 0; at least 1 is accepted"),
        (|s| s.gateway.limits.max_request_bytes = u32::MAX, "at most 2147483647 bytes"),
        (|s| s.gateway.listeners[0].advertised.clear(), "private-plaintext advertises no address for this node, 1"),
        (|s| s.gateway.listeners[1].advertised[0].host.clear(), "node 1 on private-sasl-ssl needs a host"),
        (|s| s.gateway.listeners[1].path = AccessPath::PrivatePlaintext, "names the path private-plaintext twice"),
        (|s| s.gateway.listeners[0].bind = "203.0.113.1:9092".parse().unwrap(), "cannot listen on 203.0.113.1:9092"),
    ];
    for (spoil, words) in cases {
        let mut bad = spec.clone();
        spoil(&mut bad);
        let refused = gateway.apply(&bad).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    beats(&mut kafka.client().await).await.unwrap();
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_and_counted() {
    let kafka = Echo::start().await;
    let mut spec = kafka.spec();
    spec.gateway.limits.max_connections = 2;
    let (gateway, registry) = start(&spec);
    let (mut first, mut second) = (kafka.client().await, kafka.client().await);
    beats(&mut first).await.unwrap();
    beats(&mut second).await.unwrap();
    let mut third = kafka.client().await;
    assert_eq!(within(third.read(&mut [0])).await.unwrap_or(0), 0, "the third is closed");
    assert_eq!(gateway.status().connections, 2);
    spec.gateway.limits.max_connections = 3;
    gateway.apply(&spec).unwrap();
    beats(&mut kafka.client().await).await.unwrap();
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let line = "sluice_node_connections_refused_total{path=\"private-plaintext\",reason=\"too-many-connections\"} 1";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("sluice_node_requests_total{api=\"Heartbeat\"} 3"), "{text}");
}

#[tokio::test]
async fn a_path_that_is_taken_away_closes_and_can_come_back() {
    let kafka = Echo::start().await;
    let spec = kafka.spec();
    let (gateway, _) = start(&spec);
    let mut live = kafka.client().await;
    beats(&mut live).await.unwrap();
    let mut without = spec.clone();
    without.gateway.listeners.remove(0);
    gateway.apply(&without).unwrap();
    assert_eq!(within(live.read(&mut [0])).await.unwrap_or(0), 0, "its connections are closed");
    assert_eq!(gateway.status().listening, ["private-sasl-ssl"]);
    within(async {
        // The listener's task closes the socket a moment later.
        while TcpStream::connect((kafka.bind, 9092)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Half a request does not keep a connection of a closed path.
    gateway.apply(&spec).unwrap();
    let mut stuck = kafka.client().await;
    beats(&mut stuck).await.unwrap();
    stuck.write_all(&opaque_request(12, 0, 1, &[0; 100])[..40]).await.unwrap();
    gateway.apply(&without).unwrap();
    assert_eq!(within(stuck.read(&mut [0])).await.unwrap_or(0), 0);
    gateway.apply(&spec).unwrap();
    beats(&mut kafka.client().await).await.unwrap();
}

#[tokio::test]
async fn clients_of_an_address_that_may_not_connect_any_more_are_closed_and_the_others_stay() {
    let kafka = Echo::start().await;
    let spec = kafka.spec();
    let (gateway, _) = start(&spec);
    let mut here = kafka.client().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.77:0".parse().unwrap()).unwrap();
    let mut elsewhere = socket.connect((kafka.bind, 9092).into()).await.unwrap();
    beats(&mut here).await.unwrap();
    beats(&mut elsewhere).await.unwrap();
    let mut denied = spec.clone();
    denied.gateway.ip_rules.deny = vec!["127.0.0.77/32".into()];
    gateway.apply(&denied).unwrap();
    assert_eq!(within(elsewhere.read(&mut [0])).await.unwrap_or(0), 0, "the denied address");
    beats(&mut here).await.expect("the other address notices nothing");
    let mut bad = denied.clone();
    bad.gateway.ip_rules.allow = vec!["10.0.0.1/99".into()];
    assert!(gateway.apply(&bad).unwrap_err().to_string().contains("ip_rules.allow"));
    let mut only = spec.clone();
    only.gateway.ip_rules.allow = vec!["127.0.0.77/32".into()];
    gateway.apply(&only).unwrap();
    assert_eq!(within(here.read(&mut [0])).await.unwrap_or(0), 0, "not among those allowed");
    gateway.apply(&spec).unwrap();
    beats(&mut kafka.client().await).await.unwrap();
}

#[tokio::test]
async fn who_may_come_by_one_path_says_nothing_of_the_others() {
    let kafka = Echo::start().await;
    let mut spec = kafka.spec();
    let mut beyond = spec.gateway.listeners[0].clone();
    beyond.path = AccessPath::PublicPlaintext;
    beyond.bind.set_port(9094);
    beyond.sources = Some(vec!["127.0.0.77/32".into()]);
    spec.gateway.listeners.push(beyond);
    let (gateway, registry) = start(&spec);
    let from = async |source: &str, port: u16| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
        socket.connect((kafka.bind, port).into()).await.unwrap()
    };
    let (mut near, mut far) = (from("127.0.0.77", 9092).await, from("127.0.0.77", 9094).await);
    beats(&mut near).await.unwrap();
    beats(&mut far).await.expect("a source of the path");
    let mut stranger = from("127.0.0.78", 9094).await;
    assert_eq!(within(stranger.read(&mut [0])).await.unwrap_or(0), 0, "another source");
    beats(&mut from("127.0.0.78", 9092).await).await.expect("the other path takes any");

    spec.gateway.listeners[2].sources = Some(vec![]);
    gateway.apply(&spec).unwrap();
    assert_eq!(within(far.read(&mut [0])).await.unwrap_or(0), 0, "an empty list keeps everybody out");
    beats(&mut near).await.expect("the same client by the other path notices nothing");
    spec.gateway.listeners[2].sources = Some(vec!["127.0.0.0/99".into()]);
    assert!(gateway.apply(&spec).unwrap_err().to_string().contains("listeners.sources"));

    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for path in ["private-plaintext", "public-plaintext"] {
        let line = format!("sluice_node_client_traffic_bytes_total{{path=\"{path}\",direction=\"in\"}}");
        assert!(text.contains(&line), "bytes are counted by path: {text}");
    }
    let line = "sluice_node_connections_refused_total{path=\"public-plaintext\",reason=\"address-denied\"} 2";
    assert!(text.contains(line), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_takes_over_without_one_refused_connection() {
    let kafka = Echo::start().await;
    let spec = kafka.spec();
    let (mut gateway, _) = start(&spec);
    let bind = kafka.bind;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let clients = tokio::spawn(async move {
        let mut served = 0;
        while !*stopped.borrow_and_update() {
            let mut stream = TcpStream::connect((bind, 9092)).await.expect("never refused");
            // A connection that the old gateway took may be closed before it is asked anything.
            if beats(&mut stream).await.is_ok() {
                served += 1;
            }
        }
        served
    });
    for _ in 0..10 {
        let (next, _) = start(&spec);
        within(gateway.drain(Duration::from_secs(5))).await;
        assert_eq!(gateway.status().connections, 0);
        gateway = next;
        beats(&mut kafka.client().await).await.unwrap();
    }
    stop.send(true).unwrap();
    assert!(within(clients).await.unwrap() > 10);
}

#[tokio::test]
async fn draining_cuts_what_does_not_end_by_the_deadline() {
    let kafka = Echo::start().await;
    let (gateway, _) = start(&kafka.spec());
    let mut stuck = kafka.client().await;
    // Half a request that never goes on.
    stuck.write_all(&opaque_request(12, 0, 1, &[0; 100])[..40]).await.unwrap();
    beats(&mut kafka.client().await).await.unwrap();
    within(async {
        while gateway.status().connections == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    within(gateway.drain(Duration::from_millis(100))).await;
    assert_eq!(gateway.status().connections, 0);
}
