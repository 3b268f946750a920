//! Connections of the gateway's own to Kafka's inter-broker listener, as `sluice-node`: TLS with the certificate that the
//! node has for it (docs/adr/0003). Owns bytes and time-outs; knows no meaning.

use crate::identity::{IdentityError, certified, roots};
use broker_api::ports;
use broker_api::spec::NodeSpec;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Metadata of ten thousand topics takes a few MB.
const MAX_ANSWER_BYTES: u32 = 64 * 1024 * 1024;
const FIELD: &str = "kafka.internal_tls";

/// Where the brokers' own listeners are, and who we are there.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Internal {
    pub(in crate::gateway) node: i32,
    /// Number of brokers of the instance.
    pub(in crate::gateway) brokers: u32,
    /// The listener of this node's own broker, and the name in its certificate.
    own: SocketAddr,
    own_host: String,
    tls: Arc<ClientConfig>,
}

impl Internal {
    pub(in crate::gateway) fn of(spec: &NodeSpec) -> Result<Self, IdentityError> {
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
            own: SocketAddr::new(spec.kafka.bind, ports::INTER_BROKER),
            own_host: spec.kafka.internal_host.clone(),
            tls: Arc::new(tls),
        })
    }

    /// To this node's own broker.
    pub(super) async fn connect_own(&self) -> io::Result<Connection> {
        self.connect(TcpStream::connect(self.own), &self.own_host).await
    }

    /// To a broker by the address that brokers know it by.
    pub(super) async fn connect_to(&self, host: &str, port: u16) -> io::Result<Connection> {
        self.connect(TcpStream::connect((host, port)), host).await
    }

    async fn connect(&self, tcp: impl Future<Output = io::Result<TcpStream>>, host: &str) -> io::Result<Connection> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connected = async {
            let stream = tcp.await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(self.tls.clone()).connect(name, stream).await
        };
        let stream = timeout(CONNECT_LIMIT, connected).await??;
        Ok(Connection { stream, correlation: 0 })
    }
}

/// One request at a time.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    correlation: i32,
}

impl Connection {
    /// Of no more use after an error.
    pub(super) async fn call<Q: Request>(
        &mut self,
        version: i16,
        request: &Q,
        limit: Duration,
    ) -> io::Result<Q::Response> {
        timeout(limit, self.exchange(version, request)).await?
    }

    async fn exchange<Q: Request>(&mut self, version: i16, request: &Q) -> io::Result<Q::Response> {
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("sluice-gateway")));
        let mut body = BytesMut::new();
        header.encode(&mut body, Q::header_version(version)).map_err(malformed)?;
        request.encode(&mut body, version).map_err(malformed)?;
        let mut frame = Vec::with_capacity(4 + body.len());
        frame.extend_from_slice(&u32::try_from(body.len()).map_err(io::Error::other)?.to_be_bytes());
        frame.extend_from_slice(&body);
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        let length = self.stream.read_u32().await?;
        if length > MAX_ANSWER_BYTES {
            return Err(malformed(format!("an answer of {length} bytes")));
        }
        let mut answer = vec![0; length as usize];
        self.stream.read_exact(&mut answer).await?;
        let mut answer = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut answer, Q::Response::header_version(version)).map_err(malformed)?;
        if header.correlation_id != self.correlation {
            return Err(malformed("an answer to another request"));
        }
        Q::Response::decode(&mut answer, version).map_err(malformed)
    }
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
