//! Requests that admission decides about: held until it has, and ended there before their answers pass on. Meanwhile this
//! connection takes no further request; answers to earlier ones pass.

use super::{Duplex, Fault};
use crate::gateway::admission::{Admitted, Reserved};
use crate::gateway::filters::admitted::{Asked, Codec};
use crate::gateway::filters::{Decision, Format, Merge, code, streams};
use crate::gateway::frame::{self, RequestHeader};
use crate::gateway::pipeline::{Expected, Settlement};
use crate::gateway::stream::Stream;
use crate::gateway::table::Api;
use crate::gateway::wire::Wire;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A request on hold.
pub(super) struct Admitting {
    pub(super) decided: BoxFuture<'static, Admitted>,
    pub(super) asked: Arc<Asked>,
    pub(super) codec: &'static Codec,
    pub(super) header: RequestHeader,
    pub(super) api: &'static Api,
    /// The client's frame, of which the body may have been replaced.
    pub(super) frame: Vec<u8>,
    pub(super) body_at: usize,
    /// Completes the answer with what the filter refused before.
    pub(super) policy: Option<(Merge, usize)>,
}

/// A response on hold.
pub(super) struct Settling {
    settled: BoxFuture<'static, ()>,
    response: Vec<u8>,
}

impl<C, U> Duplex<C, U>
where
    C: Stream,
    U: Stream,
{
    /// Puts a request on hold that its filter decided about.
    pub(super) fn ask_admission(
        &mut self,
        frame: Vec<u8>,
        body_at: usize,
        header: RequestHeader,
        api: &'static Api,
        codec: &'static Codec,
        decision: Decision,
    ) -> Wire<()> {
        let (frame, policy) = match decision {
            Decision::Forward => (frame, None),
            Decision::Amend { body, merge, own_bytes } => {
                (frame::with_body(&frame, body_at, &body), Some((merge, own_bytes)))
            }
            Decision::Answer(body) => {
                self.answer(header, api, &body);
                return Ok(());
            }
        };
        let format = Format { version: header.version, flexible: api.is_flexible(header.version) };
        let asked = Arc::new((codec.read)(format, &frame[body_at..])?);
        let snapshot = self.shared.snapshot();
        let (limit, node) = (snapshot.limit(codec.counted), snapshot.peer.node);
        let decided = Box::pin(self.shared.admission(codec.counted).clone().admit(asked.clone(), limit, node));
        self.admitting = Some(Admitting { decided, asked, codec, header, api, frame, body_at, policy });
        Ok(())
    }

    /// Goes on with the request on hold, once it is decided. True when it was.
    pub(super) fn poll_admitting(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(on_hold) = &mut self.admitting else { return false };
        let Poll::Ready(admitted) = on_hold.decided.as_mut().poll(cx) else { return false };
        if let Some(on_hold) = self.admitting.take()
            && let Err(source) = self.carry_out(on_hold, admitted)
        {
            self.fault = Some(source);
            self.gone = true;
        }
        true
    }

    fn carry_out(&mut self, on_hold: Admitting, admitted: Admitted) -> Result<(), Fault> {
        let Admitting { asked, codec, header, api, frame, body_at, policy, .. } = on_hold;
        let Admitted { counted, mut refusals, needs_ticket, ticket, reserved, pass } = admitted;
        let full = refusals.iter().flatten().filter(|refusal| refusal.code == code::POLICY_VIOLATION).count();
        self.shared.metrics.refuse_full(counted, full as u64);
        let format = Format { version: header.version, flexible: api.is_flexible(header.version) };
        let is_late = reserved.as_ref().is_some_and(Reserved::is_late);
        let ticket = ticket.filter(|_| !is_late).and_then(|mut ticket| ticket.start().then_some(ticket));
        if is_late {
            refusals = vec![Some(codec.counted.undecided())];
        } else if needs_ticket && ticket.is_none() {
            refusals = codec.without_ticket(&asked, refusals);
        }
        let (policy, policy_bytes) = match policy {
            Some((merge, bytes)) => (Some(merge), bytes),
            None => (None, 0),
        };
        let completed = |body: &[u8]| match policy {
            Some(merge) => merge(body),
            None => Ok(body.to_vec()),
        };
        let flexible = api.is_header_flexible(header.version);
        let settlement = ticket.map(|ticket| Settlement { ticket, codec, format });
        let correlation = header.correlation;
        let malformed = |source| Fault::Request { api: api.name, source };
        let decision = codec.decide(format, &frame[body_at..], &asked, &refusals).map_err(malformed)?;
        let (frame, merge, own_bytes): (_, Merge, _) = match decision {
            Decision::Forward => (frame, Box::new(completed), policy_bytes),
            Decision::Amend { body, merge, own_bytes } => {
                self.shared.metrics.deny(header.key);
                let both: Merge = Box::new(move |answer| completed(&merge(answer)?));
                (frame::with_body(&frame, body_at, &body), both, own_bytes + policy_bytes)
            }
            Decision::Answer(body) => {
                let body = completed(&body).map_err(malformed)?;
                self.answer(header, api, &body);
                return Ok(());
            }
        };
        let started = reserved.map(Reserved::start);
        let merge: Merge = Box::new(move |answer| {
            drop(pass);
            if let Some(started) = started {
                started.answered(streams::answered(format, answer)?);
            }
            merge(answer)
        });
        self.pipeline.push(Expected::Amended { correlation, flexible, merge, own_bytes, settlement });
        self.requests.put(frame);
        Ok(())
    }

    /// Answers a request in Kafka's place.
    pub(super) fn answer(&mut self, header: RequestHeader, api: &'static Api, body: &[u8]) {
        self.shared.metrics.deny(header.key);
        let flexible = api.is_header_flexible(header.version);
        self.pipeline.push(Expected::Own(frame::response(header.correlation, flexible, body)));
    }

    /// Tells admission what Kafka answered, and holds `response` until it is written down.
    pub(super) fn settle(&mut self, settlement: Settlement, answer: &[u8], response: Vec<u8>) -> Wire<()> {
        let Settlement { ticket, codec, format } = settlement;
        let outcomes = (codec.outcomes)(format, answer)?;
        self.settling = Some(Settling { settled: Box::pin(ticket.settle(outcomes)), response });
        Ok(())
    }

    /// Lets the response on hold pass, once its request is ended. True when it was.
    pub(super) fn poll_settling(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(on_hold) = &mut self.settling else { return false };
        if on_hold.settled.as_mut().poll(cx).is_pending() {
            return false;
        }
        if let Some(on_hold) = self.settling.take() {
            self.responses.put(on_hold.response);
        }
        true
    }
}
