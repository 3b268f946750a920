//! Lets the kernel move bytes from one socket to another: by a pipe and splice(2), without a copy of them here.
//!
//! For the long runs of bytes that nobody here looks at. A connection has a pipe only while bytes are in it; a thread
//! keeps a few empty ones. Where no more pipes are to be had, the caller copies as ever.

use rustix::fd::OwnedFd;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes of ours that may go before what the kernel moves: a page, which always fits into an empty pipe.
pub(super) const HEAD_BYTES: usize = 4096;
/// Pipes at a time. Slow readers of a busy broker hold one each, and the kernel accounts 64 KiB for it.
const MOST_PIPES: usize = 512;
/// Empty pipes that a thread keeps.
const KEPT: usize = 16;

thread_local! {
    static SPARE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}
static PIPES: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, Default)]
pub(super) struct Conduit {
    pipe: Option<Pipe>,
    held: usize,
}

/// What reading came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Bytes(usize),
    /// The source has nothing now; the task is woken when it has.
    Nothing,
    End,
}

impl Conduit {
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Whether bytes can be moved now: only through an empty pipe is it certain that a source that gives nothing has
    /// nothing.
    pub(super) fn open(&mut self) -> bool {
        if self.held == 0 && self.pipe.is_none() {
            self.pipe = Pipe::take();
        }
        self.held == 0 && self.pipe.is_some()
    }

    /// Lets bytes go before what is moved next. At most [`HEAD_BYTES`], only when [`open`](Self::open).
    pub(super) fn put(&mut self, head: &[u8]) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Err(io::ErrorKind::NotConnected.into()) };
        let written = rustix::io::write(&pipe.into, head)?;
        self.held += written;
        if written == head.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Takes up to `most` bytes from a socket, after what was [put](Self::put).
    pub(super) fn read(&mut self, cx: &mut Context<'_>, source: &TcpStream, most: usize) -> io::Result<Read> {
        let Some(pipe) = &self.pipe else { return Err(io::ErrorKind::NotConnected.into()) };
        while let Poll::Ready(ready) = source.poll_read_ready(cx) {
            ready?;
            match source.try_io(Interest::READABLE, || pipe.fill(source, most)) {
                Ok(0) => return Ok(Read::End),
                Ok(n) => {
                    self.held += n;
                    return Ok(Read::Bytes(n));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Read::Nothing)
    }

    /// Gives a socket what it takes; tells how much that was.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, sink: &TcpStream) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else { return Ok(0) };
        let before = self.held;
        while self.held > 0
            && let Poll::Ready(ready) = sink.poll_write_ready(cx)
        {
            ready?;
            match sink.try_io(Interest::WRITABLE, || pipe.empty(sink, self.held)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.held -= n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
        Ok(before - self.held)
    }

    /// Gives an empty pipe back.
    pub(super) fn release_if_empty(&mut self) {
        if self.held == 0
            && let Some(pipe) = self.pipe.take()
        {
            pipe.give_back();
        }
    }

    /// Forgets what it holds.
    pub(super) fn discard(&mut self) {
        *self = Self::default();
    }
}

/// Both ends of a pipe, which counts among all of them.
#[derive(Debug)]
struct Pipe {
    out_of: OwnedFd,
    into: OwnedFd,
}

impl Pipe {
    /// None when there are too many, here or in the system.
    fn take() -> Option<Self> {
        if let Some(spare) = SPARE.with(|spare| spare.borrow_mut().pop()) {
            return Some(spare);
        }
        let counted = PIPES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < MOST_PIPES).then_some(n + 1));
        counted.ok()?;
        match pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK) {
            Ok((out_of, into)) => Some(Self { out_of, into }),
            Err(_) => {
                PIPES.fetch_sub(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Must be empty.
    fn give_back(self) {
        // Fails while the thread ends: then the pipe is closed.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < KEPT {
                spare.push(self);
            }
        });
    }

    fn fill(&self, source: &TcpStream, most: usize) -> io::Result<usize> {
        Ok(splice(source, None, &self.into, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?)
    }

    fn empty(&self, sink: &TcpStream, held: usize) -> io::Result<usize> {
        Ok(splice(&self.out_of, None, sink, None, held, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        PIPES.fetch_sub(1, Ordering::Relaxed);
    }
}
