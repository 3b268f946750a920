//! Reads a socket in large pieces for a reader that asks for small ones.
//!
//! rustls asks for 4 KiB at a time: a system call for each would cost more than the decryption. Under
//! it, one call fetches what a block holds. The block goes back as soon as it is read empty.

use super::block::Block;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Debug)]
pub(super) struct ReadAhead<S> {
    stream: S,
    block: Option<Block>,
    start: usize,
    end: usize,
}

impl<S> ReadAhead<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, block: None, start: 0, end: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let block = match this.block.take() {
            Some(block) => block,
            None => {
                let mut block = Block::take();
                let mut free = ReadBuf::new(&mut block);
                ready!(Pin::new(&mut this.stream).poll_read(cx, &mut free))?;
                (this.start, this.end) = (0, free.filled().len());
                block
            }
        };
        let n = buf.remaining().min(this.end - this.start);
        buf.put_slice(&block[this.start..this.start + n]);
        this.start += n;
        if this.start < this.end {
            this.block = Some(block);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn small_reads_get_every_byte_in_order() {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        let sent: Vec<u8> = (0..700_000u32).map(|n| n as u8).collect();
        let writing = {
            let sent = sent.clone();
            tokio::spawn(async move { near.write_all(&sent).await })
        };
        let mut ahead = ReadAhead::new(far);
        let mut got = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match ahead.read(&mut piece).await.unwrap() {
                0 => break,
                n => got.extend_from_slice(&piece[..n]),
            }
        }
        writing.await.unwrap().unwrap();
        assert!(got == sent);
        assert!(ahead.block.is_none(), "an empty block is given back");
    }
}
