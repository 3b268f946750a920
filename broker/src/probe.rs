//! Asks a Kafka broker whether it serves: one ApiVersions request on a plaintext listener.
//!
//! Kafka binds its ports long before it handles requests, so a connection proves nothing; an answer
//! does.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const CORRELATION_ID: i32 = 0x51_1c_ed;
/// ApiVersions at version 0, with an empty client id.
const API_VERSIONS: i16 = 18;
/// The answer lists some eighty APIs at six bytes each; more is not an answer.
const MAX_ANSWER_BYTES: i32 = 64 * 1024;

/// Succeeds when the broker at `address` answers ApiVersions within `limit`.
pub async fn answers(address: SocketAddr, limit: Duration) -> io::Result<()> {
    timeout(limit, ask(address)).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("{address} did not answer within {limit:?}")))
    })
}

async fn ask(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let mut request = Vec::with_capacity(14);
    request.extend(10i32.to_be_bytes());
    request.extend(API_VERSIONS.to_be_bytes());
    request.extend(0i16.to_be_bytes());
    request.extend(CORRELATION_ID.to_be_bytes());
    request.extend(0i16.to_be_bytes());
    stream.write_all(&request).await?;
    let length = stream.read_i32().await?;
    let not_kafka = || io::Error::new(io::ErrorKind::InvalidData, format!("{address} does not speak Kafka"));
    if !(10..=MAX_ANSWER_BYTES).contains(&length) || stream.read_i32().await? != CORRELATION_ID {
        return Err(not_kafka());
    }
    match stream.read_i16().await? {
        0 => Ok(()),
        _ => Err(not_kafka()),
    }
}
