//! [`NodeControl`] over HTTPS with client certificates.

use super::{NodeAddress, NodeControl, NodeError};
use crate::pki::{client_config, trusting_client_config};
use async_trait::async_trait;
use broker_api::{
    connections::{AskUnkept, CloseConnections, ClosedConnections, ConnectionList, ListConnections, Unkept},
    groups::GroupUse,
    partitions::PartitionUse,
    paths,
    refusal::{Refusal, RefusalCode},
    spec::NodeSpec,
    status::NodeStatus,
    topics::{ChangeTopic, TopicOutcome},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde::{Serialize, de::DeserializeOwned};
use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// A status is below 1 KiB, a connection of a list, at most 201 of them, below 2 KiB, metrics are some 30 KiB; the cap keeps a node that runs wild from filling our memory.
const MAX_ANSWER_BYTES: usize = 1 << 20;

type BoxError = Box<dyn Error + Send + Sync>;

/// For a change of a topic beyond any other answer: gateways may wait for each other, and then for Kafka.
const TOPIC_CHANGE: Duration = Duration::from_secs(13);

/// Talks to nodes: a connection a request, since a node hears from us a few times a minute at most, and a connection
/// that is kept would have to be proved alive first.
#[derive(Debug, Clone)]
pub struct HttpsNodes {
    deadline: Duration,
}

impl Default for HttpsNodes {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5) }
    }
}

impl HttpsNodes {
    /// `deadline` bounds a request from connect to the end of the answer.
    pub fn new(deadline: Duration) -> Self {
        Self { deadline }
    }

    async fn request<T: DeserializeOwned>(
        &self,
        node: &NodeAddress,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, NodeError> {
        self.request_within(self.deadline, node, method, path, body).await
    }

    async fn request_within<T: DeserializeOwned>(
        &self,
        deadline: Duration,
        node: &NodeAddress,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, NodeError> {
        let answer = self.answer_within(deadline, node, method, path, body).await?;
        serde_json::from_slice(&answer).map_err(|error| not_understood(node, &error))
    }

    /// The body of an answer that is no refusal.
    async fn answer_within(
        &self,
        deadline: Duration,
        node: &NodeAddress,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, NodeError> {
        let address = node.control;
        let unreachable = |reason: String| NodeError::Unreachable { address, reason };
        let (status, answer) = match timeout(deadline, exchange(node, method, path, body)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(unreachable(causes(&*error))),
            Err(_) => return Err(unreachable(format!("no answer within {} ms", deadline.as_millis()))),
        };
        if status.is_success() { Ok(answer) } else { Err(refusal(address, status, &answer)) }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        node: &NodeAddress,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, NodeError> {
        self.request(node, method, path, json(node, body)?).await
    }
}

fn json(node: &NodeAddress, body: &impl Serialize) -> Result<Bytes, NodeError> {
    let text = serde_json::to_vec(body);
    text.map(Into::into)
        .map_err(|e| NodeError::Refused { address: node.control, reason: format!("what is asked cannot be sent: {e}") })
}

fn not_understood(node: &NodeAddress, error: &dyn Error) -> NodeError {
    NodeError::Refused { address: node.control, reason: format!("the answer is not understood: {error}") }
}

#[async_trait]
impl NodeControl for HttpsNodes {
    async fn status(&self, node: &NodeAddress) -> Result<NodeStatus, NodeError> {
        self.request(node, Method::GET, paths::STATUS, Bytes::new()).await
    }

    async fn push_spec(&self, node: &NodeAddress, spec: &NodeSpec) -> Result<NodeStatus, NodeError> {
        self.send(node, Method::PUT, paths::SPEC, spec).await
    }

    async fn metrics(&self, node: &NodeAddress) -> Result<String, NodeError> {
        let answer = self.answer_within(self.deadline, node, Method::GET, paths::METRICS, Bytes::new()).await?;
        String::from_utf8(answer.into()).map_err(|error| not_understood(node, &error))
    }

    async fn partitions(&self, node: &NodeAddress) -> Result<PartitionUse, NodeError> {
        self.request(node, Method::GET, paths::PARTITIONS, Bytes::new()).await
    }

    async fn groups(&self, node: &NodeAddress) -> Result<GroupUse, NodeError> {
        self.request(node, Method::GET, paths::GROUPS, Bytes::new()).await
    }

    async fn change_topic(&self, node: &NodeAddress, change: &ChangeTopic) -> Result<TopicOutcome, NodeError> {
        let (deadline, body) = (self.deadline + TOPIC_CHANGE, json(node, change)?);
        self.request_within(deadline, node, Method::POST, paths::TOPICS, body).await
    }

    async fn list_connections(&self, node: &NodeAddress, asked: &ListConnections) -> Result<ConnectionList, NodeError> {
        self.send(node, Method::POST, paths::CONNECTIONS, asked).await
    }

    async fn close_connections(
        &self,
        node: &NodeAddress,
        which: &CloseConnections,
    ) -> Result<ClosedConnections, NodeError> {
        self.send(node, Method::POST, paths::CLOSE_CONNECTIONS, which).await
    }

    async fn unkept_connections(&self, node: &NodeAddress, asked: &AskUnkept) -> Result<Unkept, NodeError> {
        self.send(node, Method::POST, paths::UNKEPT_CONNECTIONS, asked).await
    }

    async fn shown_certificate(&self, address: SocketAddr, name: &str, ca_pem: &str) -> Result<Vec<u8>, NodeError> {
        let refused = |reason: String| NodeError::Refused { address, reason };
        let tls = TlsConnector::from(Arc::new(trusting_client_config(ca_pem).map_err(|e| refused(causes(&e)))?));
        let server = ServerName::try_from(name.to_owned()).map_err(|e| refused(format!("{name}: {e}")))?;
        let handshake = async { tls.connect(server, TcpStream::connect(address).await?).await };
        let stream = match timeout(self.deadline, handshake).await {
            Ok(Ok(stream)) => stream,
            // rustls tells of its own verdicts by this kind, and of the network's faults by others.
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => return Err(refused(causes(&error))),
            Ok(Err(error)) => return Err(NodeError::Unreachable { address, reason: causes(&error) }),
            Err(_) => {
                let reason = format!("no handshake within {} ms", self.deadline.as_millis());
                return Err(NodeError::Unreachable { address, reason });
            }
        };
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        shown.map(|leaf| leaf.to_vec()).ok_or_else(|| refused("it showed no certificate".to_owned()))
    }
}

async fn exchange(
    node: &NodeAddress,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<(StatusCode, Bytes), BoxError> {
    let tls = TlsConnector::from(Arc::new(client_config(&node.identity)?));
    let tcp = TcpStream::connect(node.control).await?;
    let stream = tls.connect(ServerName::IpAddress(node.control.ip().into()), tcp).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, node.control.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await?;
        Ok((status, body.to_bytes()))
    };
    // The connection moves only while it is polled; here it ends with its one exchange.
    tokio::pin!(answer, connection);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(error.into()),
        },
    }
}

fn refusal(address: SocketAddr, status: StatusCode, answer: &[u8]) -> NodeError {
    match serde_json::from_slice::<Refusal>(answer) {
        Ok(Refusal { code: RefusalCode::StaleGeneration, generation: Some(in_force), .. }) => {
            NodeError::Stale { address, in_force }
        }
        Ok(Refusal { code: RefusalCode::Unavailable, detail, .. }) => {
            NodeError::Unreachable { address, reason: detail }
        }
        Ok(Refusal { code: RefusalCode::Malformed, detail, .. }) => NodeError::Outdated { address, reason: detail },
        Ok(Refusal { detail, .. }) => NodeError::Refused { address, reason: detail },
        Err(_) if status.is_server_error() => {
            NodeError::Unreachable { address, reason: format!("it answered {status}") }
        }
        Err(_) => NodeError::Refused { address, reason: format!("it answered {status}") },
    }
}

/// An error with what caused it, on one line.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
