//! Requests that krafka cannot send, straight over a connection of our own.
//!
//! CreateAcls: krafka 0.28.1 numbers the pattern types wrongly (Literal 2, Prefixed 3; Kafka's are 3 and 4, KIP-290),
//! so that a literal binding is refused and a prefixed one would become a literal one.

use super::{Binding, Cluster};
use crate::pki::{PkiError, client_config};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::{
    error::ResponseError,
    messages::{CreateAclsRequest, RequestHeader, ResponseHeader, create_acls_request::AclCreation},
    protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes},
};
use rustls_pki_types::ServerName;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

const CLIENT_ID: &str = "sluice-control-plane";
/// Answers here are of a few bytes a binding.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// Served by 3.9 and all of 4.x.
const CREATE_ACLS_VERSION: i16 = 3;

#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// None of the brokers answered; the last one's reason.
    #[error("{address}: {source}")]
    Io { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Identity(#[from] PkiError),
    #[error("{error}: {message}")]
    Refused { error: ResponseError, message: String },
    #[error("unknown error code {0}")]
    Unknown(i16),
}

impl WireError {
    pub(super) fn is_retriable(&self) -> bool {
        match self {
            Self::Io { .. } => true,
            Self::Refused { error, .. } => error.is_retriable(),
            Self::Identity(_) | Self::Unknown(_) => false,
        }
    }
}

/// Creates bindings; those that are there already are no error.
pub(super) async fn create_acls(cluster: &Cluster, bindings: &[Binding]) -> Result<(), WireError> {
    let creations = bindings.iter().map(creation).collect();
    let request = CreateAclsRequest::default().with_creations(creations);
    for result in call(cluster, &request, CREATE_ACLS_VERSION).await?.results {
        if result.error_code != 0 {
            let message = result.error_message.map(|message| message.to_string()).unwrap_or_default();
            return Err(match ResponseError::try_from_code(result.error_code) {
                Some(error) => WireError::Refused { error, message },
                None => WireError::Unknown(result.error_code),
            });
        }
    }
    Ok(())
}

fn creation(binding: &Binding) -> AclCreation {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    AclCreation::default()
        .with_resource_type(binding.resource as i8)
        .with_resource_name(text(&binding.name))
        .with_resource_pattern_type(binding.pattern as i8)
        .with_principal(text(&binding.principal))
        .with_host(text("*"))
        .with_operation(binding.operation as i8)
        .with_permission_type(binding.permission as i8)
}

/// Asks one broker after the other until one answers: each forwards to the controller what is the controller's.
async fn call<R: Request>(cluster: &Cluster, request: &R, version: i16) -> Result<R::Response, WireError> {
    let tls = TlsConnector::from(Arc::new(client_config(&cluster.identity)?));
    let mut last = None;
    for &address in &cluster.internal {
        match exchange(&tls, address, request, version).await {
            Ok(response) => return Ok(response),
            Err(source) => last = Some(WireError::Io { address, source }),
        }
    }
    Err(last.unwrap_or_else(|| WireError::Io {
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        source: io::Error::other("the instance has no brokers"),
    }))
}

async fn exchange<R: Request>(
    tls: &TlsConnector,
    address: SocketAddr,
    request: &R,
    version: i16,
) -> io::Result<R::Response> {
    let tcp = TcpStream::connect(address).await?;
    let mut stream = tls.connect(ServerName::IpAddress(address.ip().into()), tcp).await?;
    stream.write_all(&frame(request, version).map_err(io::Error::other)?).await?;
    stream.flush().await?;
    let length = usize::try_from(stream.read_i32().await?).unwrap_or(usize::MAX);
    if length > MAX_ANSWER_BYTES {
        return Err(io::Error::other(format!("it announced an answer of {length} bytes")));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    let mut answer = Bytes::from(answer);
    ResponseHeader::decode(&mut answer, R::Response::header_version(version)).map_err(io::Error::other)?;
    let response = R::Response::decode(&mut answer, version).map_err(io::Error::other)?;
    match answer.has_remaining() {
        true => Err(io::Error::other("its answer is longer than it should be")),
        false => Ok(response),
    }
}

fn frame<R: Request>(request: &R, version: i16) -> anyhow::Result<Bytes> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    let mut body = BytesMut::new();
    header.encode(&mut body, R::header_version(version))?;
    request.encode(&mut body, version)?;
    let mut frame = BytesMut::with_capacity(4 + body.len());
    frame.put_i32(i32::try_from(body.len())?);
    frame.extend_from_slice(&body);
    Ok(frame.freeze())
}
