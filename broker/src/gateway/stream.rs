//! What the two ends of a connection are: bytes both ways, and the socket under them where the bytes are the same.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// The socket, if it carries exactly these bytes: then the kernel can move them (see [`conduit`](super::conduit)).
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

impl Stream for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for TlsStream<S> {}

impl<S: Stream> Stream for &mut S {
    fn socket(&self) -> Option<&TcpStream> {
        (**self).socket()
    }
}

#[cfg(test)]
impl Stream for tokio::io::DuplexStream {}
