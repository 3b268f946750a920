//! One client connection from accept to close.

use super::listener::Shared;
use super::metrics::{ByPath, PathLabel, Refusal};
use broker_api::spec::AccessPath;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tracing::debug;

/// Serves `client` until either side closes it.
pub(super) async fn serve(client: TcpStream, peer: SocketAddr, path: AccessPath, shared: Arc<Shared>) {
    let Some(upstream) = shared.snapshot().paths.get(&path).map(|path| path.upstream) else {
        return;
    };
    let upstream = match TcpStream::connect(upstream).await {
        Ok(upstream) => upstream,
        Err(e) => {
            debug!(client.address = %peer, error = %e, "gateway cannot reach Kafka");
            shared.metrics.upstream_failures.get_or_create(&ByPath { path: PathLabel(path) }).inc();
            shared.metrics.refuse(path, Refusal::Upstream);
            return;
        }
    };
    if path.is_tls() {
        match shared.tls.accept(client).await {
            Ok(client) => relay(client, upstream, &shared).await,
            Err(_) => shared.metrics.refuse(path, Refusal::TlsHandshake),
        }
    } else {
        relay(client, upstream, &shared).await;
    }
}

async fn relay<C: AsyncRead + AsyncWrite + Unpin>(mut client: C, mut upstream: TcpStream, shared: &Shared) {
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {}
        () = shared.cut.cancelled() => {}
    }
}
