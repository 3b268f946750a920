//! Questions to brokers on INT, as `sluice-node`, which is a super user: one connection for each.
//!
//! Owns nothing. Errors are texts without secrets, beginning with where they happened.

use crate::identity::{certified, roots};
use broker_api::ports;
use broker_api::spec::NodeSpec;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where the spec has the identity.
pub const FIELD: &str = "kafka.internal_tls";
/// What a broker tells of ten thousand partitions is a tenth of it.
const MAX_ANSWER_BYTES: u32 = 16 << 20;

/// Where a broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or address, which its certificate must be for.
    pub host: String,
    /// Where to connect, if the name is not to be asked for it.
    pub bind: Option<std::net::IpAddr>,
    pub port: u16,
}

impl Address {
    /// A port of this node's own broker.
    pub fn own(spec: &NodeSpec, port: u16) -> Self {
        Self { host: spec.kafka.internal_host.clone(), bind: Some(spec.kafka.bind), port }
    }

    /// INT of this node's own broker.
    pub fn inter_broker(spec: &NodeSpec) -> Self {
        Self::own(spec, ports::INTER_BROKER)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Asks one thing; no longer than `limit`.
pub async fn ask<R: Request>(
    spec: &NodeSpec,
    broker: &Address,
    request: &R,
    version: i16,
    limit: Duration,
) -> Result<R::Response, String> {
    let answer = timeout(limit, exchange(spec, broker, request, version));
    answer.await.unwrap_or_else(|_| Err(format!("{broker} did not answer within {limit:?}")))
}

async fn exchange<R: Request>(
    spec: &NodeSpec,
    broker: &Address,
    request: &R,
    version: i16,
) -> Result<R::Response, String> {
    let inside = |error: std::io::Error| format!("{broker}: {error}");
    let frame = frame(request, version).map_err(|error| error.to_string())?;
    let mut stream = connect(spec, broker).await?;
    stream.write_all(&frame).await.map_err(inside)?;
    stream.flush().await.map_err(inside)?;
    let length = stream.read_u32().await.map_err(inside)?;
    if length > MAX_ANSWER_BYTES {
        return Err(format!("{broker}: an answer of {length} bytes"));
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await.map_err(inside)?;
    decode::<R>(answer.into(), version).map_err(|error| format!("{broker}: {error}"))
}

/// A connection as `sluice-node`.
pub async fn connect(spec: &NodeSpec, broker: &Address) -> Result<TlsStream<TcpStream>, String> {
    let inside = |error: std::io::Error| format!("{broker}: {error}");
    let stream = match broker.bind {
        Some(bind) => TcpStream::connect((bind, broker.port)).await,
        None => TcpStream::connect((broker.host.as_str(), broker.port)).await,
    };
    let name = ServerName::try_from(broker.host.clone()).map_err(|error| error.to_string())?;
    TlsConnector::from(client_config(spec)?).connect(name, stream.map_err(inside)?).await.map_err(inside)
}

fn client_config(spec: &NodeSpec) -> Result<Arc<ClientConfig>, String> {
    let identity = &spec.kafka.internal_tls;
    let roots = roots(FIELD, identity).map_err(|error| error.to_string())?;
    let (certificates, key) = certified(FIELD, identity).map_err(|error| error.to_string())?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates, key)
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config))
}

fn frame<R: Request>(request: &R, version: i16) -> anyhow::Result<Bytes> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("sluice-node")));
    let mut body = BytesMut::new();
    header.encode(&mut body, R::header_version(version))?;
    request.encode(&mut body, version)?;
    let mut frame = BytesMut::from(&u32::try_from(body.len())?.to_be_bytes()[..]);
    frame.extend_from_slice(&body);
    Ok(frame.freeze())
}

fn decode<R: Request>(mut answer: Bytes, version: i16) -> anyhow::Result<R::Response> {
    ResponseHeader::decode(&mut answer, R::Response::header_version(version))?;
    R::Response::decode(&mut answer, version)
}
