//! Accepts connections of the control API and serves HTTP on them.
//!
//! Owns sockets, handshakes and their bounds: connections at a time, time to shake hands, time to
//! send a request. Follows a change of address or certificate without losing a request.

use super::state::ControlPoint;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// The control plane's replicas and a scraper; strangers do not get past the handshake.
const MAX_CONNECTIONS: usize = 64;
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
const HEADER_LIMIT: Duration = Duration::from_secs(10);
const CONNECTION_LIMIT: Duration = Duration::from_secs(300);
const BACKLOG: i32 = 128;
/// After the end was asked for: to take what the kernel has accepted for us, and to hear what callers
/// have begun to ask.
const LAST_ACCEPTS: Duration = Duration::from_millis(50);
const LAST_REQUESTS: Duration = Duration::from_millis(500);
/// After a failed accept: out of descriptors, most likely.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Listens beside whoever listens already: a gateway that is being replaced (`SO_REUSEPORT`).
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `stop`. Then what has reached our socket already, beside which a successor may listen,
/// is still answered; when this returns, nothing is under way.
pub async fn serve(mut control: watch::Receiver<ControlPoint>, router: Router, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    let last_accepts = async {
        stop.cancelled().await;
        sleep(LAST_ACCEPTS).await;
    };
    tokio::pin!(last_accepts);
    loop {
        let point = control.borrow_and_update().clone();
        let accepted = tokio::select! {
            accepted = point.listener.accept() => accepted,
            changed = control.changed() => match changed {
                Ok(()) => continue,
                Err(_) => break,
            },
            () = &mut last_accepts => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "could not accept on the control address");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        // At the bound, the newcomer goes: whoever is served stays served.
        let Ok(permit) = permits.clone().try_acquire_owned() else { continue };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, TlsAcceptor::from(point.tls), router, stop).await;
            drop(permit);
        });
    }
    connections.close();
    connections.wait().await;
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, router: Router, stop: CancellationToken) {
    let stream = match timeout(HANDSHAKE_LIMIT, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            warn!(%error, "refused a caller of the control API");
            return;
        }
        Err(_) => return,
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let last_requests = async {
        stop.cancelled().await;
        sleep(LAST_REQUESTS).await;
    };
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = last_requests => finish(connection).await,
        () = sleep(CONNECTION_LIMIT) => finish(connection).await,
    };
    if let Err(error) = ended {
        debug!(%error, "a connection of the control API broke");
    }
}

type HttpConnection =
    http1::Connection<TokioIo<tokio_rustls::server::TlsStream<TcpStream>>, TowerToHyperService<Router>>;

/// Lets the answer under way finish, then closes.
async fn finish(mut connection: std::pin::Pin<&mut HttpConnection>) -> Result<(), hyper::Error> {
    connection.as_mut().graceful_shutdown();
    timeout(HEADER_LIMIT, connection).await.unwrap_or(Ok(()))
}
