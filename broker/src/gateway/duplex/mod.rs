//! Both directions of one connection after its login, as one state machine without tasks or locks.
//!
//! A frame is *relayed* (streamed, never whole), *walked* (edited in place while it streams; a short
//! response at once, when all of it is there) or *gathered* (small control frames, whole, bounded), as
//! [`table`] says. Own answers wait their turn in the [`Pipeline`]. Nothing that was taken from a client is dropped while Kafka can be reached:
//! also when the client leaves, its requests are written before the upstream side is closed.

mod admitted;
mod created;
mod groups;
mod requests;
mod responses;
mod streams;

use self::admitted::{Admitting, Settling};
use self::created::{Creation, Making};
#[cfg(test)]
pub(super) use self::responses::SHORT_BYTES;
use crate::gateway::bandwidth::Meter;
use crate::gateway::connections::Card;
use crate::gateway::filters::Scope;
use crate::gateway::filters::full_disk::Refused;
use crate::gateway::filters::walk::Walker;
use crate::gateway::flow::Flow;
use crate::gateway::frame::{self, LENGTH, REQUEST_PEEK, RequestHeader};
use crate::gateway::gather::{Gathering, OverBudget};
use crate::gateway::listener::Shared;
use crate::gateway::pipeline::{Expected, Pipeline};
use crate::gateway::snapshot::Snapshot;
use crate::gateway::stream::Stream;
use crate::gateway::table::Api;
use crate::gateway::topic_quotas::{Bill, Debt};
use crate::gateway::wire::Malformed;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// Why a connection ended that neither side wanted to end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("TLS was spoken on a plaintext port")]
    TlsOnPlainPort,
    #[error("a frame's length is negative or above the limit")]
    FrameLength,
    #[error("API {key} version {version} is not served here")]
    UnknownApi { key: i16, version: i16 },
    #[error("a request of {api} is malformed: {source}")]
    Request { api: &'static str, source: Malformed },
    #[error("Kafka's response to {api} is malformed: {source}")]
    Response { api: &'static str, source: Malformed },
    #[error(transparent)]
    TooMuch(#[from] OverBudget),
    #[error("Kafka answered what was not asked")]
    OutOfTurn,
    #[error("records came without acks while the disk is full")]
    DiskFull,
}

/// What a connection's owner must do next.
#[derive(Debug)]
pub(super) enum Event {
    /// The client starts a new login (KIP-368); everything before it is answered.
    Reauthenticate,
    /// Held for draining, and nothing is in flight any more.
    Drained,
    /// The client left or broke the protocol; what it had sent before is written to Kafka, which
    /// was told that no more comes.
    Gone(Option<Fault>),
    /// Kafka's side ended, and the client got all of it.
    UpstreamClosed { client_done: bool },
    /// Kafka's side can't be understood.
    Failed(Fault),
}

/// Where the parser is in a direction.
enum Place<G> {
    Boundary,
    /// In a frame that passes as it is; of records, if it is metered.
    Relay {
        left: usize,
        metered: bool,
    },
    /// In a frame that is taken out.
    Drop {
        left: usize,
    },
    /// In a Produce request that is refused and taken out.
    Refuse {
        left: usize,
        refused: Refused,
        then: G,
    },
    /// In a frame that is edited while it passes.
    Walk {
        left: usize,
        walker: Walker,
        api: &'static str,
        metered: bool,
        /// What is produced to topics with quotas, if it is to be charged once it is answered; else it is as it passes.
        bill: Option<Bill>,
    },
    /// At a frame that is here whole, and gives way to another once what is owed for it is paid.
    Replace {
        size: usize,
        owed: usize,
        by: Vec<u8>,
    },
    /// At the head of a frame of which the head is rewritten.
    Head {
        size: usize,
        flexible: bool,
        version: i16,
    },
    /// In a frame that is needed whole.
    Gather {
        frame: Gathering,
        then: G,
    },
}

impl<G> Place<G> {
    /// How many bytes come next that nobody looks at, and whether they are metered.
    fn unseen(&self) -> (usize, bool) {
        match self {
            Self::Relay { left, metered } => (*left, *metered),
            Self::Walk { walker, metered, .. } => (walker.unseen(), *metered),
            _ => (0, false),
        }
    }

    /// Bytes that nobody looked at are past.
    fn pass_unseen(&mut self, bytes: usize) {
        match self {
            Self::Relay { left, .. } => *left -= bytes,
            Self::Walk { left, walker, .. } => {
                walker.pass_unseen(bytes);
                *left -= bytes;
            }
            _ => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    No,
    Reauthenticate,
    Drain,
}

pub(super) struct Duplex<C, U> {
    pub(super) client: C,
    pub(super) upstream: U,
    pub(super) requests: Flow,
    pub(super) responses: Flow,
    /// Both sides are sockets: long runs need not come here.
    by_kernel: bool,
    request: Place<(RequestHeader, &'static Api)>,
    response: Place<Expected>,
    pipeline: Pipeline,
    /// The request that admission looks at: none passes it.
    admitting: Option<Admitting>,
    /// The response whose request is being ended: none passes it.
    settling: Option<Settling>,
    /// The Metadata response of which missing topics are being admitted: none passes it.
    making: Option<Making>,
    /// Requests of ours that wait for their turn.
    creations: Vec<Creation>,
    /// What the client's records, and the records for it, have of the broker's bandwidth.
    ingress: Meter,
    egress: Meter,
    /// A response is here and waits for the meter.
    unpaid: bool,
    /// What was moved of topics that have quotas.
    produced: Debt,
    consumed: Debt,
    hold: Hold,
    /// The client can't be written to, or broke the protocol.
    gone: bool,
    fault: Option<Fault>,
    upstream_shut: bool,
    card: Arc<Card>,
    /// The client's name is on the card.
    named: bool,
    user: Option<String>,
    shared: Arc<Shared>,
    /// Requests whose header was read.
    pub(super) seen: u64,
    /// When a byte moved last.
    pub(super) active_at: Instant,
}

impl<C, U> Duplex<C, U>
where
    C: Stream,
    U: Stream,
{
    /// `read` is what was read from the client beyond its login.
    pub(super) fn new(
        client: C,
        upstream: U,
        read: &[u8],
        card: Arc<Card>,
        user: Option<String>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            by_kernel: client.socket().is_some() && upstream.socket().is_some(),
            client,
            upstream,
            requests: Flow::with_bytes(read),
            responses: Flow::default(),
            request: Place::Boundary,
            response: Place::Boundary,
            pipeline: Pipeline::default(),
            admitting: None,
            settling: None,
            making: None,
            creations: Vec::new(),
            ingress: Meter::new(shared.bandwidth.ingress.clone()),
            egress: Meter::new(shared.bandwidth.egress.clone()),
            unpaid: false,
            produced: Debt::default(),
            consumed: Debt::default(),
            hold: Hold::No,
            gone: false,
            fault: None,
            upstream_shut: false,
            card,
            named: false,
            user,
            shared,
            seen: 0,
            active_at: Instant::now(),
        }
    }

    /// From now on takes no more from the client than it is in the middle of.
    pub(super) fn drain(&mut self) {
        self.hold = Hold::Drain;
    }

    /// Goes on after a re-authentication, with what was read beyond it.
    pub(super) fn resume(&mut self, read: &[u8]) {
        self.hold = Hold::No;
        self.requests.restart(read);
    }

    /// Moves bytes until neither side can go on or something must be decided.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            let mut progress = self.poll_requests(cx);
            match self.poll_responses(cx) {
                Ok(moved) => progress |= moved,
                Err(event) => return Poll::Ready(event),
            }
            if progress {
                self.active_at = Instant::now();
            }
            if let Some(event) = self.settled(progress) {
                return Poll::Ready(event);
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    fn poll_requests(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        let wanted = self.wanted();
        match self.read_requests(cx, wanted) {
            Ok(moved) => progress |= moved,
            // A reset client may have sent requests just before: they are taken.
            Err(_) => {
                self.gone = true;
                progress = true;
            }
        }
        progress |= self.poll_admitting(cx);
        if self.fault.is_none() {
            match self.advance_requests(cx) {
                Ok(moved) => progress |= moved,
                Err(fault) => {
                    self.fault = Some(fault);
                    self.gone = true;
                    progress = true;
                }
            }
        }
        if !self.upstream_shut {
            // When writing fails, reading tells the same, after the last responses.
            progress |= self.requests.drain(cx, &mut self.upstream).unwrap_or(false);
            // Only once nothing moves: a whole request may still wait for what went before it.
            if !progress && self.client_is_done() && self.requests.is_flushed() {
                self.upstream_shut = !matches!(Pin::new(&mut self.upstream).poll_shutdown(cx), Poll::Pending);
                progress |= self.upstream_shut;
            }
        }
        progress
    }

    fn poll_responses(&mut self, cx: &mut Context<'_>) -> Result<bool, Event> {
        let mut progress = match self.read_responses(cx) {
            Ok(moved) => moved,
            Err(_) => {
                self.responses.ended = true;
                true
            }
        };
        if self.gone {
            // Nobody reads answers any more, but Kafka must be able to go on.
            let unread = self.responses.unread().len();
            self.responses.discard();
            self.responses.take_out(unread);
            progress |= unread > 0;
        } else {
            progress |= self.poll_settling(cx);
            progress |= self.poll_making(cx);
            match self.advance_responses(cx) {
                Ok(moved) => progress |= moved,
                Err(fault) => return Err(Event::Failed(fault)),
            }
            match self.responses.drain(cx, &mut self.client) {
                Ok(moved) => progress |= moved,
                Err(_) => {
                    self.gone = true;
                    progress = true;
                }
            }
        }
        Ok(progress)
    }

    /// How many bytes may be read from the client now: while held, no more than end the request that
    /// was begun, or a client that never pauses would never be drained.
    fn wanted(&self) -> usize {
        let unread = self.requests.unread();
        let to_end = match (&self.request, self.hold) {
            _ if self.gone => return 0,
            (_, Hold::No) => return usize::MAX,
            (
                Place::Relay { left, .. }
                | Place::Drop { left }
                | Place::Refuse { left, .. }
                | Place::Walk { left, .. },
                _,
            ) => *left,
            (Place::Gather { frame, .. }, _) => frame.missing(),
            (Place::Boundary, Hold::Drain) if unread.is_empty() => 0,
            // A length that is refused ends the connection elsewhere.
            (Place::Boundary, Hold::Drain) if unread.len() >= LENGTH => {
                frame::frame_size(unread, 0, u32::MAX).unwrap_or(0)
            }
            (Place::Boundary, Hold::Drain) => REQUEST_PEEK,
            _ => 0,
        };
        to_end.saturating_sub(unread.len())
    }

    /// Whether the client will send nothing more that could be forwarded.
    fn client_is_done(&self) -> bool {
        let no_more = self.requests.ended && self.hold != Hold::Reauthenticate && !self.pipeline.is_full();
        self.admitting.is_none() && (self.gone || no_more)
    }

    fn settled(&mut self, progress: bool) -> Option<Event> {
        if (self.settling.is_some() || self.making.is_some()) && !self.gone {
            return None;
        }
        if self.gone && (self.upstream_shut || self.responses.ended) {
            return Some(Event::Gone(self.fault.take()));
        }
        // Only once nothing moves: whole responses may still wait for what went before them.
        if self.responses.ended && self.responses.is_flushed() && !progress && !self.unpaid {
            return Some(Event::UpstreamClosed { client_done: self.requests.ended });
        }
        let quiet = self.hold != Hold::No
            && !self.gone
            && matches!(self.request, Place::Boundary)
            && (self.hold == Hold::Reauthenticate || self.requests.unread().is_empty())
            && matches!(self.response, Place::Boundary)
            && self.pipeline.is_empty()
            && self.admitting.is_none()
            && self.creations.is_empty()
            && self.requests.is_flushed()
            && self.responses.is_flushed();
        quiet.then_some(match self.hold {
            Hold::Reauthenticate => Event::Reauthenticate,
            _ => Event::Drained,
        })
    }

    fn scope<'a>(&'a self, snapshot: &'a Snapshot) -> Scope<'a> {
        Scope { path: self.card.path, user: self.user.as_deref(), snapshot }
    }
}
