//! Questions of a node's own to brokers, as `sluice-node`, which is a super user: TLS with the certificate that the node has
//! for INT (docs/adr/0003).
//!
//! Owns bytes and time-outs; knows no meaning. Errors carry no secrets.

use crate::identity::{IdentityError, certified, roots};
use broker_api::ports;
use broker_api::spec::NodeSpec;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where the spec has the identity.
pub const FIELD: &str = "kafka.internal_tls";
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Metadata of ten thousand topics takes a few MB.
const MAX_ANSWER_BYTES: u32 = 64 << 20;

/// Where a broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or address, which its certificate must be for.
    pub host: String,
    /// Where to connect, if the name is not to be asked for it.
    pub bind: Option<IpAddr>,
    pub port: u16,
}

impl Address {
    /// A port of this node's own broker.
    pub fn own(spec: &NodeSpec, port: u16) -> Self {
        Self { host: spec.kafka.internal_host.clone(), bind: Some(spec.kafka.bind), port }
    }

    /// INT of this node's own broker.
    pub fn internal(spec: &NodeSpec) -> Self {
        Self::own(spec, ports::INTERNAL)
    }

    /// What brokers know a broker by.
    pub fn named(host: &str, port: i32) -> io::Result<Self> {
        let port = u16::try_from(port).map_err(io::Error::other)?;
        Ok(Self { host: host.to_owned(), bind: None, port })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Who this node is among the brokers of its instance.
#[derive(Debug, Clone)]
pub struct Peer {
    pub node: i32,
    /// Number of brokers of the instance.
    pub brokers: u32,
    /// INT of this node's own broker.
    pub own: Address,
    tls: Arc<ClientConfig>,
}

impl Peer {
    pub fn of(spec: &NodeSpec) -> Result<Self, IdentityError> {
        let identity = &spec.kafka.internal_tls;
        let (certificates, key) = certified(FIELD, identity)?;
        let fault = |fault: rustls::Error| IdentityError::new(FIELD, fault.to_string());
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(fault)?
            .with_root_certificates(roots(FIELD, identity)?)
            .with_client_auth_cert(certificates, key)
            .map_err(fault)?;
        Ok(Self {
            node: spec.identity.node_id,
            brokers: spec.kafka.brokers,
            own: Address::internal(spec),
            tls: Arc::new(tls),
        })
    }

    pub async fn connect(&self, broker: &Address) -> io::Result<Connection> {
        let name = ServerName::try_from(broker.host.clone()).map_err(io::Error::other)?;
        let connected = async {
            let stream = match broker.bind {
                Some(bind) => TcpStream::connect((bind, broker.port)).await,
                None => TcpStream::connect((broker.host.as_str(), broker.port)).await,
            }?;
            stream.set_nodelay(true)?;
            TlsConnector::from(self.tls.clone()).connect(name, stream).await
        };
        let stream = timeout(CONNECT_LIMIT, connected).await??;
        Ok(Connection { stream, correlation: 0 })
    }
}

/// One request at a time.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    correlation: i32,
}

impl Connection {
    /// Of no more use after an error.
    pub async fn call<Q: Request>(&mut self, version: i16, request: &Q, limit: Duration) -> io::Result<Q::Response> {
        timeout(limit, self.exchange(version, request)).await?
    }

    /// What the broker proved itself with.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.stream.get_ref().1.peer_certificates()?.first()
    }

    /// The same for what the library does not know, in the flexible encoding of headers: from body to body.
    pub async fn call_raw(&mut self, key: i16, version: i16, body: &[u8], limit: Duration) -> io::Result<Bytes> {
        let answered = async {
            let mut request = self.header(key, version, 2)?;
            request.extend_from_slice(body);
            self.answer(&request, 1).await
        };
        timeout(limit, answered).await?
    }

    async fn exchange<Q: Request>(&mut self, version: i16, request: &Q) -> io::Result<Q::Response> {
        let mut body = self.header(Q::KEY, version, Q::header_version(version))?;
        request.encode(&mut body, version).map_err(malformed)?;
        let mut answer = self.answer(&body, Q::Response::header_version(version)).await?;
        Q::Response::decode(&mut answer, version).map_err(malformed)
    }

    /// The header of the next request.
    fn header(&mut self, key: i16, version: i16, header_version: i16) -> io::Result<BytesMut> {
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("sluice-node")));
        let mut bytes = BytesMut::new();
        header.encode(&mut bytes, header_version).map_err(malformed)?;
        Ok(bytes)
    }

    /// Sends a request; gives the body of its answer.
    async fn answer(&mut self, body: &[u8], header_version: i16) -> io::Result<Bytes> {
        let mut frame = Vec::with_capacity(4 + body.len());
        frame.extend_from_slice(&u32::try_from(body.len()).map_err(io::Error::other)?.to_be_bytes());
        frame.extend_from_slice(body);
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        let length = self.stream.read_u32().await?;
        if length > MAX_ANSWER_BYTES {
            return Err(malformed(format!("an answer of {length} bytes")));
        }
        let mut answer = vec![0; length as usize];
        self.stream.read_exact(&mut answer).await?;
        let mut answer = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut answer, header_version).map_err(malformed)?;
        if header.correlation_id != self.correlation {
            return Err(malformed("an answer to another request"));
        }
        Ok(answer)
    }
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Connects, asks one thing and leaves; no longer than `limit`. Errors begin with where they happened.
pub async fn ask<R: Request>(
    spec: &NodeSpec,
    broker: &Address,
    request: &R,
    version: i16,
    limit: Duration,
) -> Result<R::Response, String> {
    let peer = Peer::of(spec).map_err(|error| error.to_string())?;
    let answer = timeout(limit, async { peer.connect(broker).await?.call(version, request, limit).await });
    match answer.await {
        Ok(answer) => answer.map_err(|error| format!("{broker}: {error}")),
        Err(_) => Err(format!("{broker} did not answer within {limit:?}")),
    }
}
