//! Whole frames over a stream, one after the other: how logins talk. Bounded by the caller's limit.

use super::frame::{self, LENGTH};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// First read of a login: more than any login frame of today's clients.
const READ_BYTES: usize = 4 * 1024;

/// A stream, and what was read from it beyond the frames that were taken.
#[derive(Debug)]
pub(super) struct Framed<S> {
    stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Framed<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(super) fn with_read(stream: S, read: Vec<u8>) -> Self {
        Self { stream, read }
    }

    /// The stream, and what is still to be treated of it.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.read)
    }

    /// The first `n` bytes of what comes next, which stay; fewer when the peer ended before.
    pub(super) async fn peek(&mut self, n: usize) -> io::Result<&[u8]> {
        while self.read.len() < n && self.stream.read_buf(&mut self.read).await? > 0 {}
        Ok(&self.read[..n.min(self.read.len())])
    }

    /// The next frame with its length field; `None` when the peer ended before it. A length above
    /// `limit` is an [`InvalidData`](io::ErrorKind::InvalidData) error, known before the frame is read.
    pub(super) async fn next(&mut self, limit: u32) -> io::Result<Option<Vec<u8>>> {
        let mut wanted = LENGTH;
        loop {
            if self.read.len() >= LENGTH {
                wanted = frame::frame_size(&self.read, 0, limit)
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            }
            if self.read.len() >= wanted {
                let rest = self.read.split_off(wanted);
                return Ok(Some(std::mem::replace(&mut self.read, rest)));
            }
            // Grows with what arrives, not with what is claimed.
            self.read.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return if self.read.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    pub(super) async fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame).await?;
        self.stream.flush().await
    }
}
