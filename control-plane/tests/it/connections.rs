//! Connections: silence is bounded, their number is bounded, and a stop finishes what is under way.

use axum::{Router, routing::get};
use control_plane::http::server::{Connections, serve};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

struct Serving {
    address: SocketAddr,
    stopping: CancellationToken,
    /// A request to `/slow` has come, and may be answered.
    arrived: Arc<Notify>,
    answer: Arc<Notify>,
    task: JoinHandle<()>,
}

async fn serving(bounds: Connections) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stopping) = (listener.local_addr().unwrap(), CancellationToken::new());
    let (arrived, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (arrived, answer) = (arrived.clone(), answer.clone());
        async move || {
            arrived.notify_one();
            answer.notified().await;
            "done"
        }
    };
    let router = Router::new().route("/", get(async || "here")).route("/slow", get(slow));
    let task = tokio::spawn(serve(listener, router, bounds, stopping.clone()));
    Serving { address, stopping, arrived, answer, task }
}

async fn sent(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("the connection ends").unwrap();
    text
}

const ASK: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_client_that_never_ends_its_request_is_let_go() {
    let serving = serving(Connections { most: 8, silence: Duration::from_millis(200) }).await;
    let half = sent(serving.address, "GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
    let mute = sent(serving.address, "").await;
    rest(half).await;
    rest(mute).await;
    assert!(rest(sent(serving.address, ASK).await).await.ends_with("here"));
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_until_one_ends() {
    let serving = serving(Connections { most: 1, silence: Duration::from_secs(60) }).await;
    let first = sent(serving.address, "GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    serving.arrived.notified().await;
    let mut second = sent(serving.address, ASK).await;
    let early = tokio::time::timeout(Duration::from_millis(200), second.read_u8()).await;
    assert!(early.is_err(), "it was answered before its turn: {early:?}");
    serving.answer.notify_one();
    assert!(rest(first).await.ends_with("done"));
    assert!(rest(second).await.ends_with("here"));
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way_and_ends_idle_connections() {
    let serving = serving(Connections { most: 8, silence: Duration::from_secs(60) }).await;
    let idle = sent(serving.address, "").await;
    let busy = sent(serving.address, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    serving.arrived.notified().await;
    serving.stopping.cancel();
    rest(idle).await;
    serving.answer.notify_one();
    assert!(rest(busy).await.ends_with("done"));
    serving.task.await.unwrap();
    TcpStream::connect(serving.address).await.unwrap_err();
}
