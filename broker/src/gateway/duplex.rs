//! Both directions of one connection after its login, as one state machine without tasks or locks.
//!
//! A frame is *relayed* (streamed, never whole), *walked* (edited in place while it streams) or
//! *gathered* (small control frames, whole, bounded), as [`table`] says. Own answers wait their turn
//! in the [`Pipeline`]. Nothing that was taken from a client is dropped while Kafka can be reached:
//! also when the client leaves, its requests are written before the upstream side is closed.

use super::filters::endpoints::Walker;
use super::filters::{Decision, Format, Scope, addresses, produce};
use super::flow::{Flow, LOOKAHEAD_BYTES};
use super::frame::{self, LENGTH, REQUEST_PEEK, RESPONSE_PEEK, RequestHeader};
use super::listener::Shared;
use super::pipeline::{Expected, Pipeline};
use super::table::{self, Api, RequestRule, ResponseRule};
use super::wire::Malformed;
use broker_api::spec::AccessPath;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// Largest request that is gathered: thousands of bindings or settings in one.
const MAX_CONTROL_REQUEST: usize = 4 * 1024 * 1024;
/// Largest response that is gathered: settings of ten thousand topics.
const MAX_CONTROL_RESPONSE: usize = 64 * 1024 * 1024;
/// First byte of a TLS record that starts a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

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
    #[error("Kafka answered what was not asked")]
    OutOfTurn,
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
    /// In a frame that passes as it is.
    Relay {
        left: usize,
    },
    /// In a frame that is taken out.
    Drop {
        left: usize,
    },
    /// In a frame that is edited while it passes.
    Walk {
        left: usize,
        walker: Walker,
        api: &'static str,
    },
    /// At the head of a frame of which the head is rewritten.
    Head {
        size: usize,
        flexible: bool,
        version: i16,
    },
    /// In a frame that is needed whole.
    Gather {
        frame: Vec<u8>,
        size: usize,
        then: G,
    },
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
    request: Place<(RequestHeader, &'static Api)>,
    response: Place<Expected>,
    pipeline: Pipeline,
    hold: Hold,
    /// The client can't be written to, or broke the protocol.
    gone: bool,
    fault: Option<Fault>,
    upstream_shut: bool,
    path: AccessPath,
    user: Option<String>,
    shared: Arc<Shared>,
    /// Requests whose header was read.
    pub(super) seen: u64,
    /// When a byte moved last.
    pub(super) active_at: Instant,
}

impl<C, U> Duplex<C, U>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    /// `read` is what was read from the client beyond its login.
    pub(super) fn new(
        client: C,
        upstream: U,
        read: &[u8],
        path: AccessPath,
        user: Option<String>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            client,
            upstream,
            requests: Flow::with_bytes(read),
            responses: Flow::default(),
            request: Place::Boundary,
            response: Place::Boundary,
            pipeline: Pipeline::default(),
            hold: Hold::No,
            gone: false,
            fault: None,
            upstream_shut: false,
            path,
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
            if let Some(event) = self.settled() {
                return Poll::Ready(event);
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    fn poll_requests(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        let reading = !self.gone && (self.hold == Hold::No || !matches!(self.request, Place::Boundary));
        if reading {
            match self.requests.fill(cx, &mut self.client) {
                Ok(moved) => progress |= moved,
                // A reset client may have sent requests just before: they are taken.
                Err(_) => {
                    self.gone = true;
                    progress = true;
                }
            }
        }
        if self.fault.is_none() {
            match self.advance_requests() {
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
            if self.client_is_done() && self.requests.is_flushed() {
                self.upstream_shut = !matches!(Pin::new(&mut self.upstream).poll_shutdown(cx), Poll::Pending);
                progress |= self.upstream_shut;
            }
        }
        progress
    }

    fn poll_responses(&mut self, cx: &mut Context<'_>) -> Result<bool, Event> {
        let mut progress = match self.responses.fill(cx, &mut self.upstream) {
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
            match self.advance_responses() {
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

    /// Whether the client will send nothing more that could be forwarded.
    fn client_is_done(&self) -> bool {
        self.gone || (self.requests.ended && !self.pipeline.is_full())
    }

    fn settled(&mut self) -> Option<Event> {
        if self.gone && (self.upstream_shut || self.responses.ended) {
            return Some(Event::Gone(self.fault.take()));
        }
        if self.responses.ended && self.responses.is_flushed() {
            return Some(Event::UpstreamClosed { client_done: self.requests.ended });
        }
        let quiet = self.hold != Hold::No
            && !self.gone
            && matches!(self.request, Place::Boundary)
            && matches!(self.response, Place::Boundary)
            && self.pipeline.is_empty()
            && self.requests.is_flushed()
            && self.responses.is_flushed();
        quiet.then_some(match self.hold {
            Hold::Reauthenticate => Event::Reauthenticate,
            _ => Event::Drained,
        })
    }

    /// Takes requests as far as they are there. True when any byte moved.
    fn advance_requests(&mut self) -> Result<bool, Fault> {
        let mut progress = false;
        while self.requests.may_pass() {
            let here = self.requests.unread().len();
            match &mut self.request {
                Place::Boundary => {
                    if !self.start_request()? {
                        break;
                    }
                }
                Place::Relay { left } => {
                    let n = here.min(*left);
                    self.requests.pass(n);
                    *left -= n;
                    if *left > 0 {
                        return Ok(progress || n > 0);
                    }
                    self.request = Place::Boundary;
                }
                Place::Drop { left } => {
                    let n = here.min(*left);
                    if !self.requests.is_written() {
                        break;
                    }
                    self.requests.take_out(n);
                    *left -= n;
                    if *left > 0 {
                        return Ok(progress || n > 0);
                    }
                    self.request = Place::Boundary;
                }
                Place::Gather { frame, size, .. } => {
                    if !self.requests.is_written() {
                        break;
                    }
                    let n = here.min(*size - frame.len());
                    frame.extend_from_slice(&self.requests.unread()[..n]);
                    self.requests.take_out(n);
                    if frame.len() < *size {
                        return Ok(progress || n > 0);
                    }
                    if let Place::Gather { frame, then: (header, api), .. } =
                        std::mem::replace(&mut self.request, Place::Boundary)
                    {
                        self.decide(frame, header, api)?;
                    }
                }
                // Only responses are walked or rewritten.
                Place::Walk { .. } | Place::Head { .. } => self.request = Place::Boundary,
            }
            progress = true;
        }
        Ok(progress)
    }

    /// Looks at the head of the next request. False when more bytes, or answers, must come first.
    fn start_request(&mut self) -> Result<bool, Fault> {
        if self.pipeline.is_full() || self.hold == Hold::Reauthenticate {
            return Ok(false);
        }
        let unread = self.requests.unread();
        if self.seen == 0 && !self.path.is_tls() && unread.first() == Some(&TLS_HANDSHAKE) {
            return Err(Fault::TlsOnPlainPort);
        }
        let limit = self.shared.snapshot().limits.max_request_bytes;
        if unread.len() < REQUEST_PEEK {
            if unread.len() >= LENGTH {
                frame::frame_size(unread, 8, limit).map_err(|_| Fault::FrameLength)?;
            }
            return Ok(false);
        }
        let header = RequestHeader::peek(unread, limit).map_err(|_| Fault::FrameLength)?;
        let RequestHeader { size, key, version, correlation } = header;
        let api = table::find(key, version).ok_or(Fault::UnknownApi { key, version })?;
        let flexible = api.is_flexible(version);
        self.request = match api.request {
            RequestRule::Relay => {
                self.expect(header, api);
                Place::Relay { left: size }
            }
            RequestRule::Produce => {
                let ready = unread.len().min(size);
                match produce::wants_answer(&unread[..ready], Format { version, flexible }) {
                    Ok(wanted) => {
                        if wanted {
                            self.expect(header, api);
                        }
                        Place::Relay { left: size }
                    }
                    Err(Malformed::Short) if ready < size && ready < LOOKAHEAD_BYTES => return Ok(false),
                    Err(source) => return Err(Fault::Request { api: api.name, source }),
                }
            }
            RequestRule::Login if self.path.is_tls() => {
                self.hold = if self.hold == Hold::No { Hold::Reauthenticate } else { self.hold };
                return Ok(false);
            }
            RequestRule::Closed => return Err(Fault::UnknownApi { key, version }),
            RequestRule::Login => {
                self.expect(header, api);
                Place::Relay { left: size }
            }
            RequestRule::Filter(_) if size > MAX_CONTROL_REQUEST => return Err(Fault::FrameLength),
            RequestRule::Filter(_) => Place::Gather { frame: Vec::new(), size, then: (header, api) },
            RequestRule::Refuse(answer) => {
                self.shared.metrics.deny(key);
                let body = answer(version);
                self.pipeline.push(Expected::Own(frame::response(correlation, api.is_header_flexible(version), &body)));
                Place::Drop { left: size }
            }
        };
        self.seen += 1;
        self.shared.metrics.request(key);
        Ok(true)
    }

    fn expect(&mut self, header: RequestHeader, api: &'static Api) {
        let RequestHeader { key, version, correlation, .. } = header;
        let flexible = api.is_header_flexible(version);
        let rule = api.response_rule(version);
        self.pipeline.push(Expected::FromKafka { correlation, key, version, flexible, rule });
    }

    /// Runs the filter of a whole request.
    fn decide(&mut self, frame: Vec<u8>, header: RequestHeader, api: &'static Api) -> Result<(), Fault> {
        let RequestHeader { key, version, correlation, .. } = header;
        let malformed = |source| Fault::Request { api: api.name, source };
        let format = Format { version, flexible: api.is_flexible(version) };
        let body_at = frame::request_body(&frame, format.flexible).map_err(malformed)?;
        let RequestRule::Filter(filter) = api.request else { return Ok(()) };
        let decision = {
            let snapshot = self.shared.snapshot();
            let scope = Scope { path: self.path, user: self.user.as_deref(), snapshot: &snapshot };
            filter(scope, format, &frame[body_at..]).map_err(malformed)?
        };
        let flexible = api.is_header_flexible(version);
        match decision {
            Decision::Forward => {
                self.expect(header, api);
                self.requests.put(frame);
            }
            Decision::Amend { body, merge } => {
                self.shared.metrics.deny(key);
                self.pipeline.push(Expected::Amended { correlation, flexible, merge });
                self.requests.put(frame::with_body(&frame, body_at, &body));
            }
            Decision::Answer(body) => {
                self.shared.metrics.deny(key);
                self.pipeline.push(Expected::Own(frame::response(correlation, flexible, &body)));
            }
        }
        Ok(())
    }

    /// Takes responses as far as they are there. True when any byte moved.
    fn advance_responses(&mut self) -> Result<bool, Fault> {
        let mut progress = false;
        while self.responses.may_pass() {
            let here = self.responses.unread().len();
            match &mut self.response {
                Place::Boundary => {
                    if let Some(answer) = self.pipeline.next_own() {
                        self.responses.put(answer);
                    } else if !self.start_response()? {
                        break;
                    }
                }
                Place::Relay { left } => {
                    let n = here.min(*left);
                    self.responses.pass(n);
                    *left -= n;
                    if *left > 0 {
                        return Ok(progress || n > 0);
                    }
                    self.response = Place::Boundary;
                }
                Place::Walk { left, walker, api } => {
                    let ready = here.min(*left);
                    let n = walker
                        .walk(&mut self.responses.unread_mut()[..ready], *left as u64)
                        .map_err(|source| Fault::Response { api, source })?;
                    self.responses.pass(n);
                    *left -= n;
                    if *left > 0 {
                        return Ok(progress || n > 0);
                    }
                    self.response = Place::Boundary;
                }
                Place::Head { .. } => {
                    if !self.rewrite_head()? {
                        break;
                    }
                }
                Place::Gather { frame, size, .. } => {
                    let n = here.min(*size - frame.len());
                    if !self.responses.is_written() {
                        break;
                    }
                    frame.extend_from_slice(&self.responses.unread()[..n]);
                    self.responses.take_out(n);
                    if frame.len() < *size {
                        return Ok(progress || n > 0);
                    }
                    if let Place::Gather { frame, then, .. } = std::mem::replace(&mut self.response, Place::Boundary) {
                        self.complete(frame, then)?;
                    }
                }
                // Only requests are dropped.
                Place::Drop { .. } => self.response = Place::Boundary,
            }
            progress = true;
        }
        Ok(progress)
    }

    /// Looks at the head of the next response. False when more bytes must come first.
    fn start_response(&mut self) -> Result<bool, Fault> {
        let unread = self.responses.unread();
        let Some(head) = unread.get(..RESPONSE_PEEK) else { return Ok(false) };
        let out_of_turn = |_| Fault::OutOfTurn;
        let size = frame::frame_size(head, 4, i32::MAX.unsigned_abs()).map_err(out_of_turn)?;
        let answered = i32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let expected = self.pipeline.next().ok_or(Fault::OutOfTurn)?;
        let (correlation, gathered) = match &expected {
            Expected::FromKafka { correlation, rule, .. } => (*correlation, matches!(rule, ResponseRule::Filter(_))),
            Expected::Amended { correlation, .. } => (*correlation, true),
            Expected::Own(_) => return Err(Fault::OutOfTurn),
        };
        if answered != correlation {
            return Err(Fault::OutOfTurn);
        }
        if gathered {
            if size > MAX_CONTROL_RESPONSE {
                return Err(Fault::FrameLength);
            }
            self.response = Place::Gather { frame: Vec::new(), size, then: expected };
            return Ok(true);
        }
        if let Expected::FromKafka { key, version, flexible, rule, .. } = expected {
            self.response = match rule {
                ResponseRule::Walk(layout) => {
                    Place::Walk { left: size, walker: Walker::new(layout), api: table::name(key) }
                }
                ResponseRule::Metadata => Place::Head { size, flexible, version },
                ResponseRule::Relay | ResponseRule::Filter(_) => Place::Relay { left: size },
            };
        }
        Ok(true)
    }

    /// Rewrites the brokers of a Metadata response, and relays its topics.
    fn rewrite_head(&mut self) -> Result<bool, Fault> {
        let Place::Head { size, flexible, version } = self.response else { return Ok(false) };
        if !self.responses.is_written() {
            return Ok(false);
        }
        let ready = self.responses.unread().len().min(size);
        let rewritten = {
            let snapshot = self.shared.snapshot();
            let scope = Scope { path: self.path, user: self.user.as_deref(), snapshot: &snapshot };
            addresses::metadata_head(scope, Format { version, flexible }, &self.responses.unread()[..ready])
        };
        match rewritten {
            Ok((head, read)) => {
                let left = size - read;
                let length = i32::try_from(head.len() + left - LENGTH).map_err(|_| Fault::FrameLength)?;
                let mut head = head;
                head[..LENGTH].copy_from_slice(&length.to_be_bytes());
                self.responses.take_out(read);
                self.responses.put(head);
                self.response = Place::Relay { left };
                Ok(true)
            }
            Err(Malformed::Short) if ready < size && ready < LOOKAHEAD_BYTES => Ok(false),
            Err(source) => Err(Fault::Response { api: "Metadata", source }),
        }
    }

    /// Runs the filter, or the merge, of a whole response.
    fn complete(&mut self, frame: Vec<u8>, expected: Expected) -> Result<(), Fault> {
        let (flexible, api) = match &expected {
            Expected::Amended { flexible, .. } => (*flexible, "an amended request"),
            Expected::FromKafka { key, flexible, .. } => (*flexible, table::name(*key)),
            Expected::Own(_) => return Err(Fault::OutOfTurn),
        };
        let malformed = |source| Fault::Response { api, source };
        let body_at = frame::response_body(&frame, flexible).map_err(malformed)?;
        let body = match expected {
            Expected::Amended { merge, .. } => merge(&frame[body_at..]),
            Expected::FromKafka { key, version, rule: ResponseRule::Filter(filter), .. } => {
                let flexible = table::find(key, version).is_some_and(|api| api.is_flexible(version));
                let snapshot = self.shared.snapshot();
                let scope = Scope { path: self.path, user: self.user.as_deref(), snapshot: &snapshot };
                filter(scope, Format { version, flexible }, &frame[body_at..])
            }
            Expected::FromKafka { .. } | Expected::Own(_) => return Err(Fault::OutOfTurn),
        };
        self.responses.put(frame::with_body(&frame, body_at, &body.map_err(malformed)?));
        Ok(())
    }
}
