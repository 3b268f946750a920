//! Speaks to the supervisor through its unix socket. A supervisor that is away is an answer, too.

use crate::directory::{NodeDirectory, short_path};
use broker_api::paths::supervisor as paths;
use broker_api::spec::NodeSpec;
use broker_api::status::BrokerStatus;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// It answers from memory.
const LIMIT: Duration = Duration::from_secs(2);
const MAX_ANSWER_BYTES: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    #[error("the supervisor does not answer: {0}")]
    Away(String),
    #[error("the supervisor refused the spec ({status}): {text}")]
    Refused { status: StatusCode, text: String },
}

impl SupervisorError {
    fn away(error: impl std::fmt::Display) -> Self {
        Self::Away(error.to_string())
    }
}

#[derive(Debug, Clone)]
pub struct SupervisorClient {
    directory: NodeDirectory,
}

impl SupervisorClient {
    pub fn new(directory: NodeDirectory) -> Self {
        Self { directory }
    }

    pub async fn status(&self) -> Result<BrokerStatus, SupervisorError> {
        self.ask(Method::GET, paths::STATUS, Bytes::new()).await
    }

    /// Hands a spec on; the answer comes when the broker's part has begun.
    pub async fn put_spec(&self, spec: &NodeSpec) -> Result<BrokerStatus, SupervisorError> {
        let body = serde_json::to_vec(spec).map_err(SupervisorError::away)?;
        self.ask(Method::PUT, paths::SPEC, body.into()).await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<BrokerStatus, SupervisorError> {
        timeout(LIMIT, self.exchange(method, path, body))
            .await
            .unwrap_or_else(|_| Err(SupervisorError::Away(format!("nothing came within {LIMIT:?}"))))
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<BrokerStatus, SupervisorError> {
        let stream = self.connect().await.map_err(SupervisorError::away)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(SupervisorError::away)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "supervisor")
            .body(Full::new(body))
            .map_err(SupervisorError::away)?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(SupervisorError::away)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES)
                .collect()
                .await
                .map_err(SupervisorError::away)?
                .to_bytes();
            if status.is_success() {
                serde_json::from_slice(&body).map_err(SupervisorError::away)
            } else {
                Err(SupervisorError::Refused { status, text: String::from_utf8_lossy(&body).into_owned() })
            }
        };
        tokio::select! {
            answer = answer => answer,
            Err(error) = connection => Err(SupervisorError::away(error)),
        }
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        let (_directory, path) = short_path(&self.directory.supervisor_socket())?;
        UnixStream::connect(path).await
    }
}
