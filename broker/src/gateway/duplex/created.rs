//! Topics that are made because a client named them in Metadata: admitted like any others, and asked for on the client's own
//! connection, and so in its own name, between its requests.

use super::{Duplex, Fault};
use crate::gateway::admission::counted::Counted;
use crate::gateway::admission::{Admitted, Ticket};
use crate::gateway::filters::partitions::CREATE_TOPICS;
use crate::gateway::filters::{Format, addresses, auto_create, code};
use crate::gateway::frame::{self, LENGTH, RequestHeader};
use crate::gateway::pipeline::{Expected, Settlement};
use crate::gateway::stream::Stream;
use crate::gateway::table::Api;
use crate::gateway::wire::Wire;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::task::{Context, Poll};

const API: &str = "Metadata";
/// Of our own requests; it need not differ from the client's, since answers come in order.
const CORRELATION: i32 = 0x51_1c_ed;

/// A Metadata response on hold.
pub(super) struct Making {
    admitted: BoxFuture<'static, Admitted>,
    missing: Vec<(usize, String)>,
    frame: Vec<u8>,
    format: Format,
}

/// A request of ours.
pub(super) struct Creation {
    frame: Vec<u8>,
    /// Where the instance has a limit.
    ticket: Option<Ticket>,
}

impl<C, U> Duplex<C, U>
where
    C: Stream,
    U: Stream,
{
    /// Remembers what a Metadata request lets happen.
    pub(super) fn expect_topics(&mut self, body: &[u8], header: RequestHeader, api: &'static Api) -> Wire<()> {
        let RequestHeader { version, correlation, .. } = header;
        let format = Format { version, flexible: api.is_flexible(version) };
        if auto_create::may_create(format, body)? {
            self.pipeline.push(Expected::Topics { correlation, version, flexible: format.flexible });
        } else {
            self.expect(header, api);
        }
        Ok(())
    }

    /// Passes a Metadata response on, after what is missing in it was admitted.
    pub(super) fn complete_topics(&mut self, frame: Vec<u8>, format: Format) -> Result<(), Fault> {
        let missing = auto_create::missing(format, &frame).map_err(|source| Fault::Response { api: API, source })?;
        if missing.is_empty() {
            return self.tell_topics(&frame, format);
        }
        let snapshot = self.shared.snapshot();
        let asked = Arc::new(auto_create::asked(&missing));
        let admitted: BoxFuture<'static, Admitted> = if snapshot.limits(Counted::Partitions) {
            let (limit, node) = (snapshot.limit(Counted::Partitions), snapshot.peer.node);
            Box::pin(self.shared.admission(Counted::Partitions).clone().admit(asked, limit, node))
        } else {
            let freely = Admitted::freely(Counted::Partitions, &asked);
            Box::pin(async { freely })
        };
        drop(snapshot);
        self.making = Some(Making { admitted, missing, frame, format });
        Ok(())
    }

    /// Goes on with the response on hold, once it is decided. True when it was.
    pub(super) fn poll_making(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(on_hold) = &mut self.making else { return false };
        let Poll::Ready(Admitted { refusals, ticket, .. }) = on_hold.admitted.as_mut().poll(cx) else { return false };
        let Some(Making { missing, mut frame, format, .. }) = self.making.take() else { return false };
        let mut names = Vec::with_capacity(missing.len());
        for ((at, name), refusal) in missing.iter().zip(refusals) {
            // Clients ask again after a leader that is not available, and then the topic is there, or can be admitted.
            let told = match refusal {
                Some(refusal) if refusal.code == code::POLICY_VIOLATION => {
                    self.shared.metrics.refuse_full(Counted::Partitions, 1);
                    refusal.code
                }
                Some(_) => code::LEADER_NOT_AVAILABLE,
                None => {
                    names.push(name.as_str());
                    code::LEADER_NOT_AVAILABLE
                }
            };
            if let Some(error) = frame.get_mut(*at..at + 2) {
                error.copy_from_slice(&told.to_be_bytes());
            }
        }
        // What is counted is not made without a ticket.
        if !names.is_empty() && (ticket.is_some() || !self.shared.snapshot().limits(Counted::Partitions)) {
            let frame = auto_create::request(CORRELATION, names.into_iter());
            self.creations.push(Creation { frame, ticket });
        }
        if let Err(fault) = self.tell_topics(&frame, format) {
            self.fault = Some(fault);
            self.gone = true;
        }
        true
    }

    /// With the addresses of the client's own way.
    fn tell_topics(&mut self, frame: &[u8], format: Format) -> Result<(), Fault> {
        let malformed = |source| Fault::Response { api: API, source };
        let (mut told, read) = {
            let snapshot = self.shared.snapshot();
            addresses::metadata_head(self.scope(&snapshot), format, frame).map_err(malformed)?
        };
        told.extend_from_slice(frame.get(read..).unwrap_or_default());
        debug_assert!(told.len() >= LENGTH);
        self.responses.put(frame::sealed(told));
        Ok(())
    }

    /// Sends a request of ours that waits, between requests of the client. False when there is none.
    pub(super) fn start_creation(&mut self) -> bool {
        let Some(Creation { frame, ticket }) = self.creations.pop() else { return false };
        let mut settlement =
            ticket.map(|ticket| Settlement { ticket, codec: &CREATE_TOPICS, format: auto_create::CREATE });
        if settlement.as_mut().is_some_and(|settlement| !settlement.ticket.start()) {
            // Too late: the client asks again.
            return true;
        }
        self.pipeline.push(Expected::Created { correlation: CORRELATION, settlement });
        self.requests.put(frame);
        true
    }

    /// Tells admission what became of a request of ours.
    pub(super) fn created(&mut self, frame: &[u8], settlement: Option<Settlement>) -> Result<(), Fault> {
        let Some(Settlement { ticket, codec, format }) = settlement else { return Ok(()) };
        let malformed = |source| Fault::Response { api: "CreateTopics", source };
        let body_at = frame::response_body(frame, true).map_err(malformed)?;
        let outcomes = (codec.outcomes)(format, &frame[body_at..]).map_err(malformed)?;
        // Nobody waits for it.
        tokio::spawn(ticket.settle(outcomes));
        Ok(())
    }
}
