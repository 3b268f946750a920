//! Connections: how many, how long they may keep silent, and how they end.
//!
//! `axum::serve` has no bound on any of these, so that clients that connect and say nothing could use up all descriptors.

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// Bounds of a listener's connections.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// At once; more wait in the kernel's queue.
    pub most: usize,
    /// Between the beginning of a connection, or the end of a request, and the end of the next request's head.
    pub silence: Duration,
}

/// Pause after a failed accept: mostly there are no descriptors left, and more come only when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `stopping`; then no new connections and requests, and the return comes when those in flight are answered.
pub async fn serve(listener: TcpListener, router: Router, bounds: Connections, stopping: CancellationToken) {
    let slots = Arc::new(Semaphore::new(bounds.most));
    let connections = TaskTracker::new();
    let accept = async {
        loop {
            // The semaphore is never closed.
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let router = router.clone();
                    connections.spawn(connection(stream, peer, router, bounds.silence, stopping.clone(), slot));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = stopping.cancelled() => {}
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    silence: Duration,
    stopping: CancellationToken,
    _slot: OwnedSemaphorePermit,
) {
    // Answers are written whole; waiting for more only delays them. Without it the connection still works.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(silence)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let outcome = tokio::select! {
        outcome = served.as_mut() => outcome,
        () = stopping.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "a connection broke off");
    }
}
