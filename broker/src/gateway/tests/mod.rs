//! Tests of the gateway over in-memory pipes: a client, the gateway's real connection code, and a
//! Kafka whose every byte the test writes.
//!
//! `SLUICE_CASES` asks tests of random input for more than a commit needs (`make soak`).

mod addresses;
mod admission;
mod admission_model;
mod bandwidth;
mod bearers;
mod certificates;
mod connected;
mod definitions;
mod every_message;
mod full_disk;
mod groups;
mod groups_model;
mod hostile;
mod logins;
mod memory_log;
mod permits;
mod permits_model;
mod pipeline;
mod policies;
mod service;
mod sockets;
mod streams;
mod topic_quotas;
mod transparency;
mod walked;

use super::certificates::Presented;
use super::connection;
use super::connection::End;
use super::connections::Card;
use super::listener::Shared;
use super::metrics::Metrics;
use super::snapshot::Snapshot;
use super::upstream::Connect;
use crate::assertion::Signer;
use broker_api::secret::Secret;
use broker_api::spec::*;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use prometheus_client::registry::Registry;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What nodes 1 and 2 are called on the paths; node 3 has no address there.
pub(super) const HOST: &str = "broker.example.com";
/// What Kafka calls itself, and clients must never see.
pub(super) const INTERNAL: &str = "internal.invalid";
/// Enough for whole test frames to wait in a pipe.
const PIPE: usize = 1 << 20;

pub(super) fn identity() -> TlsIdentity {
    let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
    let pem = made.cert.pem();
    TlsIdentity { certificate_pem: pem.clone(), key_pem: Secret::new(made.signing_key.serialize_pem()), ca_pem: pem }
}

fn listener(path: AccessPath, bind: SocketAddr) -> Listener {
    let advertised = (1..=2).map(|node_id| AdvertisedAddress {
        node_id,
        host: format!("{node_id}.{HOST}"),
        port: 9090 + node_id as u16,
    });
    Listener { path, bind, advertised: advertised.collect(), sources: None }
}

/// A spec of node 1 whose listeners take any free port.
pub(super) fn spec() -> NodeSpec {
    let tls = identity();
    let any_port = "127.0.0.1:0".parse().unwrap();
    NodeSpec {
        generation: 1,
        identity: NodeIdentity {
            instance: "ins_test".into(),
            node_id: 1,
            cluster_id: "c".into(),
            directory_id: "d".into(),
        },
        kafka: KafkaSpec {
            version: "4.3.1".into(),
            roles: vec![Role::Broker, Role::Controller],
            rack: "a".into(),
            bind: "127.0.0.1".parse().unwrap(),
            internal_host: "127.0.0.1".into(),
            initial_controllers: vec![],
            quorum_bootstrap: vec![],
            jvm: Jvm { heap_bytes: 1, fast_start: true },
            internal_tls: tls.clone(),
            super_users: vec![],
            brokers: 2,
            max_message_bytes: 10_485_760,
            disk_bytes: 1,
            delegation_token_key: Secret::new("k"),
            replication_password: None,
        },
        gateway: GatewaySpec {
            control: any_port,
            control_tls: tls.clone(),
            listeners: vec![
                listener(AccessPath::PrivatePlaintext, any_port),
                listener(AccessPath::PrivateSaslSsl, any_port),
            ],
            server_tls: tls,
            limits: GatewayLimits::default(),
            balancers: vec![],
            auto_create_topics: false,
            ip_rules: Default::default(),
            connection_rates: Default::default(),
            topic_rates: Default::default(),
            bearer: None,
            client_certificates: None,
            disabled_mechanisms: vec![],
            disabled_users: vec!["mallory".into()],
            ended_logins: Default::default(),
            capacity: Default::default(),
        },
    }
}

/// [`spec`] with every path, each with names of its own.
pub(super) fn spec_of_all_paths() -> NodeSpec {
    let mut spec = spec();
    spec.gateway.listeners = AccessPath::ALL
        .map(|path| {
            let mut listener = listener(path, "127.0.0.1:0".parse().unwrap());
            for address in &mut listener.advertised {
                address.host = format!("{}.{}.{HOST}", address.node_id, path.as_str());
            }
            listener
        })
        .into();
    spec
}

/// Of node 1.
pub(super) fn signer() -> Signer {
    Signer::new(&spec().identity, || {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Ok(made.expect("random numbers").as_ref().to_vec())
    })
}

pub(super) fn snapshot() -> Snapshot {
    Snapshot::build(&spec()).unwrap()
}

/// One snapshot for tests that only read it: making one makes keys.
pub(super) fn shared_snapshot() -> &'static Snapshot {
    static SNAPSHOT: OnceLock<Snapshot> = OnceLock::new();
    SNAPSHOT.get_or_init(snapshot)
}

/// A gateway without listeners, and the Kafka behind it.
pub(super) struct Rig {
    pub(super) shared: Arc<Shared>,
    kafka: mpsc::UnboundedReceiver<DuplexStream>,
    connector: FakeKafka,
}

#[derive(Clone)]
struct FakeKafka(mpsc::UnboundedSender<DuplexStream>);

impl Connect for FakeKafka {
    type Stream = DuplexStream;

    async fn connect(&self) -> io::Result<DuplexStream> {
        let (gateway, kafka) = tokio::io::duplex(PIPE);
        self.0.send(kafka).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(gateway)
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(spec())
    }

    pub(super) fn with(spec: NodeSpec) -> Self {
        let metrics = Metrics::register(&mut Registry::default());
        Self::over(Shared::new(Snapshot::build(&spec).unwrap(), signer(), metrics).unwrap())
    }

    fn over(shared: Arc<Shared>) -> Self {
        let (tx, kafka) = mpsc::unbounded_channel();
        Self { shared, kafka, connector: FakeKafka(tx) }
    }

    /// A client on the plaintext path, and how its connection ends.
    pub(super) fn plaintext(&self) -> (Peer, JoinHandle<Result<(), End>>) {
        self.admitted(AccessPath::PrivatePlaintext)
    }

    /// A client of this path of whom no login is asked.
    pub(super) fn admitted(&self, path: AccessPath) -> (Peer, JoinHandle<Result<(), End>>) {
        let (client, gateway) = tokio::io::duplex(PIPE);
        let (shared, kafka) = (self.shared.clone(), self.connector.clone());
        let card = self.card(path);
        let served = tokio::spawn(async move { connection::anonymous(gateway, kafka, &card, &shared).await });
        (Peer(client), served)
    }

    /// A client on the SASL path, past its TLS handshake.
    pub(super) fn sasl(&self) -> (Peer, JoinHandle<Result<(), End>>) {
        self.shook_hands(None)
    }

    /// The same, with what it showed there.
    pub(super) fn shook_hands(&self, certificate: Option<Arc<Presented>>) -> (Peer, JoinHandle<Result<(), End>>) {
        let (client, gateway) = tokio::io::duplex(PIPE);
        let (shared, kafka) = (self.shared.clone(), self.connector.clone());
        let deadline = Instant::now() + Duration::from_millis(shared.snapshot().limits.login_timeout_ms);
        let card = self.card(AccessPath::PrivateSaslSsl);
        let served = tokio::spawn(async move {
            connection::authenticated(gateway, kafka, &card, &shared, deadline, certificate).await
        });
        (Peer(client), served)
    }

    /// Of the connection that was made last, in the list of those who are connected.
    fn card(&self, path: AccessPath) -> Arc<Card> {
        let mut limits = self.shared.snapshot().limits.clone();
        (limits.max_connections, limits.max_connections_per_ip) = (u32::MAX, u32::MAX);
        self.shared.live.admit(&limits, 3, path, "192.0.2.7:1".parse().unwrap()).unwrap().0
    }

    /// Kafka's end of the next connection that the gateway makes.
    pub(super) async fn kafka(&mut self) -> Peer {
        Peer(within(self.kafka.recv()).await.expect("the gateway connects to Kafka"))
    }
}

/// One end of a connection, which speaks frames.
pub(super) struct Peer(pub(super) DuplexStream);

impl Peer {
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        within(self.0.write_all(bytes)).await.expect("the peer reads");
    }

    /// The next frame with its length field.
    pub(super) async fn frame(&mut self) -> Vec<u8> {
        within(async {
            let length = self.0.read_i32().await.expect("a frame's length");
            let mut frame = length.to_be_bytes().to_vec();
            frame.resize(4 + usize::try_from(length).expect("a length"), 0);
            self.0.read_exact(&mut frame[4..]).await.expect("a whole frame");
            frame
        })
        .await
    }

    /// Whatever comes until the other side ends.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        within(self.0.read_to_end(&mut rest)).await.expect("an orderly end");
        rest
    }
}

/// How much random input a test tries: `few`, unless more is asked for.
pub(super) fn cases(few: usize) -> usize {
    std::env::var("SLUICE_CASES").map_or(few, |cases| cases.parse().expect("SLUICE_CASES is a number"))
}

/// Nothing here waits for more than the machine: a test that would hang fails.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("in 30 seconds")
}

fn sealed(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as i32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// A request frame as a client of Kafka would send it.
pub(super) fn request<M: Encodable>(key: ApiKey, version: i16, correlation: i32, message: &M) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str("test")))
        .encode(&mut bytes, key.request_header_version(version))
        .unwrap();
    message.encode(&mut bytes, version).unwrap();
    sealed(&bytes)
}

/// A request of which the gateway must not look at the body.
pub(super) fn opaque_request(key: i16, version: i16, correlation: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(key);
    bytes.put_i16(version);
    bytes.put_i32(correlation);
    bytes.put_slice(body);
    sealed(&bytes)
}

pub(super) fn response<M: Encodable>(key: ApiKey, version: i16, correlation: i32, message: &M) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    ResponseHeader::default()
        .with_correlation_id(correlation)
        .encode(&mut bytes, key.response_header_version(version))
        .unwrap();
    message.encode(&mut bytes, version).unwrap();
    sealed(&bytes)
}

pub(super) fn opaque_response(correlation: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes = correlation.to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    sealed(&bytes)
}

/// Correlation id and message of a response frame; panics when a byte is left over.
pub(super) fn read_response<M: Decodable>(key: ApiKey, version: i16, frame: &[u8]) -> (i32, M) {
    let mut bytes = Bytes::copy_from_slice(&frame[4..]);
    let header = ResponseHeader::decode(&mut bytes, key.response_header_version(version)).unwrap();
    let message = M::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty(), "{} bytes follow {key:?} {version}", bytes.len());
    (header.correlation_id, message)
}

pub(super) fn read_request<M: Decodable>(key: ApiKey, version: i16, frame: &[u8]) -> M {
    let mut bytes = Bytes::copy_from_slice(&frame[4..]);
    RequestHeader::decode(&mut bytes, key.request_header_version(version)).unwrap();
    let message = M::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty(), "{} bytes follow {key:?} {version}", bytes.len());
    message
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn contains(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}
