//! Requests that krafka cannot send, straight over a connection of our own.
//!
//! Topics, of which krafka does not show all that is told; quotas, since each broker is asked for itself what it knows; and those of ACLs: krafka 0.28.1 numbers the pattern types wrongly (Literal 2, Prefixed 3; Kafka's are 3 and 4, KIP-290),
//! so that a literal binding is refused and a prefixed one would become a literal one.

use super::Cluster;
use crate::pki::{PkiError, client_config};
use broker_api::acl::ANY;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use control_plane_api::acl::{AclBinding, AclOperation, AclPattern, AclPermission, AclResource};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, DescribeAclsResponse, RequestHeader, ResponseHeader,
        create_acls_request::AclCreation,
        delete_acls_request::DeleteAclsFilter,
        describe_acls_response::{AclDescription, DescribeAclsResource},
    },
    protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes},
};
use rustls_pki_types::ServerName;
use std::{collections::BTreeSet, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Of one broker: one that hangs must not keep us from asking the next.
const ANSWER_DEADLINE: Duration = Duration::from_secs(4);
const CLIENT_ID: &str = "sluice-control-plane";
/// Answers here are of a hundred bytes a binding, and a tenant may have made many through Kafka's own tools.
const MAX_ANSWER_BYTES: usize = 32 << 20;
/// Of CreateAcls, DescribeAcls and DeleteAcls; served by 3.9 and all of 4.x.
const ACLS_VERSION: i16 = 3;

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
pub(super) async fn create_acls(cluster: &Cluster, bindings: &[AclBinding]) -> Result<(), WireError> {
    if bindings.is_empty() {
        return Ok(());
    }
    let request = CreateAclsRequest::default().with_creations(bindings.iter().map(creation).collect());
    for result in call(cluster, &request, ACLS_VERSION).await?.results {
        refused(result.error_code, result.error_message)?;
    }
    Ok(())
}

/// Deletes exactly these bindings; those that are not there are no error.
pub(super) async fn delete_acls(cluster: &Cluster, bindings: &[AclBinding]) -> Result<(), WireError> {
    if bindings.is_empty() {
        return Ok(());
    }
    let request = DeleteAclsRequest::default().with_filters(bindings.iter().map(exact).collect());
    for result in call(cluster, &request, ACLS_VERSION).await?.filter_results {
        refused(result.error_code, result.error_message)?;
        for binding in result.matching_acls {
            refused(binding.error_code, binding.error_message)?;
        }
    }
    Ok(())
}

/// All bindings, as the first broker knows them that answers.
pub(super) async fn describe_acls(cluster: &Cluster) -> Result<BTreeSet<AclBinding>, WireError> {
    bindings(call(cluster, &everything(), ACLS_VERSION).await?)
}

/// All bindings, as this broker knows them; `None` when it does not answer.
pub(super) async fn acls_at(cluster: &Cluster, address: SocketAddr) -> Result<Option<BTreeSet<AclBinding>>, WireError> {
    ask_one(cluster, address, &everything(), ACLS_VERSION).await?.map(bindings).transpose()
}

fn everything() -> DescribeAclsRequest {
    DescribeAclsRequest::default()
        .with_resource_type_filter(ANY)
        .with_resource_name_filter(None)
        .with_pattern_type_filter(ANY)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_operation(ANY)
        .with_permission_type(ANY)
}

fn bindings(response: DescribeAclsResponse) -> Result<BTreeSet<AclBinding>, WireError> {
    refused(response.error_code, response.error_message)?;
    let mut bindings = BTreeSet::new();
    for resource in &response.resources {
        for acl in &resource.acls {
            match binding(resource, acl) {
                Some(binding) => drop(bindings.insert(binding)),
                None => {
                    tracing::warn!(?resource.resource_type, ?acl.operation, "an ACL binding of a kind that is not known")
                }
            }
        }
    }
    Ok(bindings)
}

fn binding(resource: &DescribeAclsResource, acl: &AclDescription) -> Option<AclBinding> {
    Some(AclBinding {
        resource_type: AclResource::from_code(resource.resource_type)?,
        resource_name: resource.resource_name.to_string(),
        pattern_type: AclPattern::from_code(resource.pattern_type)?,
        principal: acl.principal.to_string(),
        host: acl.host.to_string(),
        operation: AclOperation::from_code(acl.operation)?,
        permission: AclPermission::from_code(acl.permission_type)?,
    })
}

pub(super) fn refused(code: i16, message: Option<StrBytes>) -> Result<(), WireError> {
    if code == 0 {
        return Ok(());
    }
    let message = message.map(|message| message.to_string()).unwrap_or_default();
    Err(match ResponseError::try_from_code(code) {
        Some(error) => WireError::Refused { error, message },
        None => WireError::Unknown(code),
    })
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn creation(binding: &AclBinding) -> AclCreation {
    AclCreation::default()
        .with_resource_type(binding.resource_type.code())
        .with_resource_name(text(&binding.resource_name))
        .with_resource_pattern_type(binding.pattern_type.code())
        .with_principal(text(&binding.principal))
        .with_host(text(&binding.host))
        .with_operation(binding.operation.code())
        .with_permission_type(binding.permission.code())
}

fn exact(binding: &AclBinding) -> DeleteAclsFilter {
    DeleteAclsFilter::default()
        .with_resource_type_filter(binding.resource_type.code())
        .with_resource_name_filter(Some(text(&binding.resource_name)))
        .with_pattern_type_filter(binding.pattern_type.code())
        .with_principal_filter(Some(text(&binding.principal)))
        .with_host_filter(Some(text(&binding.host)))
        .with_operation(binding.operation.code())
        .with_permission_type(binding.permission.code())
}

/// Asks one broker after the other until one answers: each forwards to the controller what is the controller's.
pub(super) async fn call<R: Request>(cluster: &Cluster, request: &R, version: i16) -> Result<R::Response, WireError> {
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

/// What this broker says; `None` when it does not answer.
pub(super) async fn ask_one<R: Request>(
    cluster: &Cluster,
    address: SocketAddr,
    request: &R,
    version: i16,
) -> Result<Option<R::Response>, WireError> {
    let tls = TlsConnector::from(Arc::new(client_config(&cluster.identity)?));
    Ok(exchange(&tls, address, request, version).await.ok())
}

/// One broker's answer, within [`ANSWER_DEADLINE`].
async fn exchange<R: Request>(
    tls: &TlsConnector,
    address: SocketAddr,
    request: &R,
    version: i16,
) -> io::Result<R::Response> {
    let answer = timeout(ANSWER_DEADLINE, ask(tls, address, request, version)).await;
    answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn ask<R: Request>(
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
