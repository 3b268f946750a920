//! Bytes on their way in one direction: read, inspected in place, written.
//!
//! ```text
//!   start      passed       end
//!     │ may be   │ not yet    │
//!     │ written  │ inspected  │ free
//! ────┴──────────┴────────────┴──────
//!                ▲
//!              `own`: bytes of ours, written after what passed and before the rest
//! ```
//!
//! Long runs that nobody looks at go past all this, through a [`Conduit`]. Other bytes are moved at most once each, when their sink takes them slowly; else only the head of a
//! frame that a read cut in two is.

use super::bandwidth::Meter;
use super::block::{BLOCK_BYTES, Block};
use super::conduit::{Conduit, HEAD_BYTES, Read};
use super::stream::Stream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Largest run of inspected bytes that can be needed at once: nothing may wait for more.
pub(super) const LOOKAHEAD_BYTES: usize = BLOCK_BYTES;
/// A run that the kernel moves has as many bytes at least: below it, the calls cost more than copies.
pub(super) const LEAST_RUN: usize = 32 * 1024;

#[derive(Debug, Default)]
pub(super) struct Flow {
    block: Option<Block>,
    start: usize,
    passed: usize,
    end: usize,
    own: Vec<u8>,
    own_written: usize,
    /// What the kernel moves goes before all else that waits to be written.
    conduit: Conduit,
    /// Long runs are expected: only their heads are read, the kernel moves the rest.
    heads_only: bool,
    /// The source said that no more comes.
    pub(super) ended: bool,
    /// Written bytes may wait in the sink until it is flushed.
    unflushed: bool,
    /// Bytes read, and bytes written, in the life of the flow.
    pub(super) taken: u64,
    pub(super) written: u64,
}

impl Flow {
    /// A flow whose first bytes were read already.
    pub(super) fn with_bytes(bytes: &[u8]) -> Self {
        let mut flow = Self::default();
        if !bytes.is_empty() {
            flow.block = Some(Block::holding(bytes));
            flow.end = bytes.len();
            flow.taken = bytes.len() as u64;
        }
        flow
    }

    /// Starts over with bytes that somebody else read.
    pub(super) fn restart(&mut self, bytes: &[u8]) {
        *self = Self { ended: self.ended, ..Self::with_bytes(bytes) };
    }

    /// Reads until the source has nothing, the block is full, or `most` bytes came. True when anything
    /// was read.
    pub(super) fn fill<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        most: usize,
    ) -> io::Result<bool> {
        if self.ended || most == 0 {
            return Ok(false);
        }
        self.make_room();
        let most = if self.heads_only && self.unread().len() < HEAD_BYTES { most.min(HEAD_BYTES) } else { most };
        let mut progress = false;
        let block = self.block.get_or_insert_with(Block::take);
        let until = self.end.saturating_add(most).min(block.len());
        while self.end < until {
            let mut free = ReadBuf::new(&mut block[self.end..until]);
            match Pin::new(&mut *source).poll_read(cx, &mut free) {
                Poll::Pending => break,
                Poll::Ready(Err(e)) => return Err(e),
                Poll::Ready(Ok(())) => {
                    let n = free.filled().len();
                    self.ended = n == 0;
                    self.end += n;
                    self.taken += n as u64;
                    progress = true;
                    if self.ended {
                        break;
                    }
                }
            }
        }
        self.release_if_empty();
        Ok(progress)
    }

    /// Whether from here on a run of so many bytes is worth moving by the kernel.
    pub(super) fn expect_run(&mut self, bytes: usize) {
        self.heads_only = bytes >= LEAST_RUN;
    }

    /// Lets the kernel move up to `most` bytes that nobody looks at, as far as the meter has credit. Tells how many; none
    /// when it can't and they are to be [read](Self::fill).
    pub(super) fn relay(
        &mut self,
        cx: &mut Context<'_>,
        source: &TcpStream,
        most: usize,
        mut meter: Option<&mut Meter>,
    ) -> io::Result<Option<usize>> {
        if !self.unread().is_empty() {
            return Ok(None);
        }
        let head = self.passed - self.start;
        let behind = head > HEAD_BYTES || !self.own.is_empty() || !self.conduit.is_empty();
        if behind || self.ended || source.poll_read_ready(cx).is_pending() {
            return Ok(Some(0));
        }
        if !self.conduit.open() {
            return Ok(None);
        }
        let most = meter.as_mut().map_or(most, |meter| most.min(meter.poll_credit(cx)));
        if most == 0 {
            return Ok(Some(0));
        }
        if let Some(block) = &self.block
            && head > 0
        {
            self.conduit.put(&block[self.start..self.passed])?;
            self.start = self.passed;
            self.release_if_empty();
        }
        let moved = match self.conduit.read(cx, source, most)? {
            Read::Bytes(n) => n,
            Read::Nothing => 0,
            Read::End => {
                self.ended = true;
                0
            }
        };
        self.taken += moved as u64;
        if let Some(meter) = meter {
            meter.spend(moved);
        }
        Ok(Some(moved))
    }

    /// Writes what may be written. True when anything was written.
    pub(super) fn drain<S: Stream>(&mut self, cx: &mut Context<'_>, sink: &mut S) -> io::Result<bool> {
        let mut progress = false;
        if !self.conduit.is_empty() {
            let socket = sink.socket().ok_or(io::ErrorKind::Unsupported)?;
            let moved = self.conduit.write(cx, socket)?;
            self.written += moved as u64;
            if !self.conduit.is_empty() {
                return Ok(moved > 0);
            }
            progress = true;
        }
        self.conduit.release_if_empty();
        loop {
            let pending = match &self.block {
                Some(block) if self.start < self.passed => &block[self.start..self.passed],
                _ => &self.own[self.own_written..],
            };
            if pending.is_empty() {
                break;
            }
            match Pin::new(&mut *sink).poll_write(cx, pending) {
                Poll::Pending => break,
                Poll::Ready(Err(e)) => return Err(e),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => {
                    self.written += n as u64;
                    self.unflushed = true;
                    progress = true;
                    if self.start < self.passed {
                        self.start += n;
                    } else {
                        self.own_written += n;
                    }
                }
            }
        }
        if self.own_written == self.own.len() && self.own_written > 0 {
            self.own = Vec::new();
            self.own_written = 0;
        }
        self.release_if_empty();
        if self.unflushed {
            match Pin::new(sink).poll_flush(cx) {
                Poll::Ready(result) => {
                    result?;
                    self.unflushed = false;
                }
                Poll::Pending => {}
            }
        }
        Ok(progress)
    }

    /// Forgets what may be written: its reader is gone.
    pub(super) fn discard(&mut self) -> bool {
        let progress = !self.is_written();
        self.start = self.passed;
        self.own = Vec::new();
        self.own_written = 0;
        self.conduit.discard();
        self.unflushed = false;
        self.release_if_empty();
        progress
    }

    /// What was read and not yet inspected.
    pub(super) fn unread(&self) -> &[u8] {
        self.block.as_ref().map_or(&[], |block| &block[self.passed..self.end])
    }

    pub(super) fn unread_mut(&mut self) -> &mut [u8] {
        self.block.as_mut().map_or(&mut [], |block| &mut block[self.passed..self.end])
    }

    /// Whether bytes may pass: not while bytes of ours must go first.
    pub(super) fn may_pass(&self) -> bool {
        self.own.is_empty()
    }

    /// Lets the next `n` unread bytes be written as they are. Only when [`may_pass`](Self::may_pass).
    pub(super) fn pass(&mut self, n: usize) {
        debug_assert!(self.may_pass() && n <= self.end - self.passed);
        self.passed = (self.passed + n).min(self.end);
    }

    /// Takes the next `n` unread bytes out of the flow. Only when all that passed
    /// [is written](Self::is_written).
    pub(super) fn take_out(&mut self, n: usize) {
        debug_assert!(self.is_written() && n <= self.end - self.passed);
        self.passed = (self.passed + n).min(self.end);
        self.start = self.passed;
    }

    /// Puts bytes of ours after all that passed.
    pub(super) fn put(&mut self, bytes: Vec<u8>) {
        if self.own.is_empty() {
            self.own = bytes;
        } else {
            self.own.extend_from_slice(&bytes);
        }
    }

    /// Whether nothing that passed, and nothing of ours, waits to be written.
    pub(super) fn is_written(&self) -> bool {
        self.start == self.passed && self.own.is_empty() && self.conduit.is_empty()
    }

    /// Whether all of it has left this process too.
    pub(super) fn is_flushed(&self) -> bool {
        self.is_written() && !self.unflushed
    }

    /// Moves what is left in a full block to its start: when nothing else would make room, or when
    /// less is moved than becomes free.
    fn make_room(&mut self) {
        let worth_it = self.start == self.passed || self.start > self.end - self.start;
        if self.start > 0
            && worth_it
            && let Some(block) = &mut self.block
            && self.end == block.len()
        {
            block.copy_within(self.start..self.end, 0);
            self.passed -= self.start;
            self.end -= self.start;
            self.start = 0;
        }
    }

    fn release_if_empty(&mut self) {
        if self.start == self.end {
            self.block = None;
            (self.start, self.passed, self.end) = (0, 0, 0);
        }
    }
}
