//! Requests: what passes to Kafka, what is decided here.

use super::groups::{self, Way};
use super::{Duplex, Fault, Hold, Place, streams};
use crate::gateway::admission::counted::Counted;
use crate::gateway::filters::full_disk::{self, Verdict};
use crate::gateway::filters::walk::Walker;
use crate::gateway::filters::{Decision, Format, api_versions, fetch, produce, records};
use crate::gateway::flow::{LEAST_RUN, LOOKAHEAD_BYTES};
use crate::gateway::frame::{self, LENGTH, REQUEST_PEEK, RequestHeader};
use crate::gateway::gather::Gathering;
use crate::gateway::pipeline::Expected;
use crate::gateway::stream::Stream;
use crate::gateway::table::{self, Api, RequestRule};
use crate::gateway::topic_quotas::{Bill, Motion};
use crate::gateway::wire::Malformed;
use std::io;
use std::task::Context;

/// Largest request that is gathered: thousands of bindings or settings in one.
const MAX_CONTROL_REQUEST: usize = 4 * 1024 * 1024;
/// First byte of a TLS record that starts a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

impl<C, U> Duplex<C, U>
where
    C: Stream,
    U: Stream,
{
    /// Reads from the client, at most `most` bytes, or lets the kernel move what nobody here looks at.
    pub(super) fn read_requests(&mut self, cx: &mut Context<'_>, most: usize) -> io::Result<bool> {
        let (run, metered) = self.request.unseen();
        if run >= LEAST_RUN
            && most > 0
            && let Some(source) = self.client.socket().filter(|_| self.by_kernel)
        {
            let ended = self.requests.ended;
            let meter = (metered && self.hold != Hold::Drain).then_some(&mut self.ingress);
            if let Some(moved) = self.requests.relay(cx, source, most.min(run), meter)? {
                self.request.pass_unseen(moved);
                return Ok(moved > 0 || self.requests.ended != ended);
            }
        }
        self.requests.fill(cx, &mut self.client, most)
    }

    /// Takes requests as far as they are there. True when any byte moved.
    pub(super) fn advance_requests(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let mut progress = false;
        while self.requests.may_pass() && self.admitting.is_none() {
            let here = self.requests.unread().len();
            match &mut self.request {
                Place::Boundary => {
                    if !self.start_creation() && !self.start_request(cx)? {
                        break;
                    }
                }
                Place::Relay { left, metered } => {
                    let mut n = here.min(*left);
                    // Whoever must leave is not slowed.
                    if *metered && n > 0 && self.hold != Hold::Drain {
                        n = self.ingress.pay(cx, n);
                    }
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
                Place::Gather { frame, .. } => {
                    if !self.requests.is_written() {
                        break;
                    }
                    let n = here.min(frame.missing());
                    frame.add(&self.requests.unread()[..n])?;
                    self.requests.take_out(n);
                    if frame.missing() > 0 {
                        return Ok(progress || n > 0);
                    }
                    if let Place::Gather { mut frame, then: (header, api) } =
                        std::mem::replace(&mut self.request, Place::Boundary)
                    {
                        self.decide(frame.whole(), header, api)?;
                    }
                }
                Place::Refuse { left, refused, then: (header, api) } => {
                    let slowed = here > 0 && self.hold != Hold::Drain && self.ingress.poll_credit(cx) == 0;
                    if slowed || !self.requests.is_written() {
                        break;
                    }
                    let malformed = |source| Fault::Request { api: api.name, source };
                    let ready = here.min(*left);
                    let n = refused.read(&self.requests.unread()[..ready]).map_err(malformed)?;
                    let stuck = n == 0 && (ready == *left || ready >= LOOKAHEAD_BYTES);
                    self.ingress.spend(n);
                    self.requests.take_out(n);
                    *left -= n;
                    match refused.answer() {
                        None if *left == 0 || stuck => return Err(malformed(Malformed::Short)),
                        None => return Ok(progress || n > 0),
                        Some(_) if *left > 0 => return Err(malformed(Malformed::Trailing)),
                        Some(body) => {
                            let flexible = api.is_header_flexible(header.version);
                            let answer = frame::response(header.correlation, flexible, body);
                            self.pipeline.push(Expected::Own(answer));
                            self.request = Place::Boundary;
                        }
                    }
                }
                Place::Walk { left, walker, api, metered, bill } => {
                    let mut ready = here.min(*left);
                    let metered = *metered && ready > 0 && self.hold != Hold::Drain;
                    if metered {
                        ready = ready.min(self.ingress.poll_credit(cx));
                        if ready == 0 {
                            return Ok(progress);
                        }
                    }
                    let (debt, quotas) = (&mut self.produced, &self.shared.topic_quotas);
                    let n = walker
                        .walk(&mut self.requests.unread_mut()[..ready], *left as u64, &mut |seen| match bill {
                            Some(bill) => bill.note(quotas, seen),
                            None => debt.note(quotas, Motion::Produce, seen),
                        })
                        .map_err(|source| Fault::Request { api, source })?;
                    if metered {
                        self.ingress.spend(n);
                    }
                    self.requests.pass(n);
                    *left -= n;
                    if *left > 0 {
                        if self.by_kernel {
                            self.requests.expect_run(walker.unseen());
                        }
                        return Ok(progress || n > 0);
                    }
                    if let Some(bill) = bill.take() {
                        self.pipeline.bill(bill);
                    }
                    self.request = Place::Boundary;
                }
                // Only responses are rewritten.
                Place::Head { .. } | Place::Replace { .. } => self.request = Place::Boundary,
            }
            progress = true;
        }
        Ok(progress)
    }

    /// Looks at the head of the next request. False when more bytes, answers, or its turn must come first.
    fn start_request(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        // Who is gone waits for no answers.
        if (self.pipeline.is_full() && !self.gone) || self.hold == Hold::Reauthenticate {
            return Ok(false);
        }
        let unread = self.requests.unread();
        if self.seen == 0 && !self.card.path.is_tls() && unread.first() == Some(&TLS_HANDSHAKE) {
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
        let RequestHeader { size, key, version, .. } = header;
        let api = table::find(key, version).ok_or(Fault::UnknownApi { key, version })?;
        let flexible = api.is_flexible(version);
        // Whoever must leave, or has left, is not held.
        if let Some(motion) = table::moves_records(key)
            && !(self.gone || self.requests.ended || self.hold == Hold::Drain)
        {
            // What the last one brought is not charged yet. Kafka too goes on only after its answer.
            if motion == Motion::Produce && self.pipeline.is_billed() {
                return Ok(false);
            }
            let debt = if motion == Motion::Produce { &mut self.produced } else { &mut self.consumed };
            if debt.poll(cx, &self.shared.topic_quotas, motion).is_pending() {
                return Ok(false);
            }
        }
        if !self.named {
            self.named = frame::note_client(&self.card, &unread[..unread.len().min(size)]);
        }
        self.request = match api.request {
            RequestRule::Metadata if self.shared.snapshot().auto_create_topics && size <= LOOKAHEAD_BYTES => {
                Place::Gather { frame: Gathering::new(size, &self.shared.gather_budget), then: (header, api) }
            }
            RequestRule::Relay | RequestRule::Metadata => {
                self.expect(header, api);
                Place::Relay { left: size, metered: false }
            }
            RequestRule::Fetch => {
                let shares = [self.shared.bandwidth.egress.share(), self.consumed.share()];
                if let Some(share) = shares.into_iter().flatten().min() {
                    let ready = unread.len().min(size);
                    match fetch::cap(&mut self.requests.unread_mut()[..ready], Format { version, flexible }, share) {
                        Ok(()) => {}
                        Err(Malformed::Short) if ready < size && ready < LOOKAHEAD_BYTES => return Ok(false),
                        Err(source) => return Err(Fault::Request { api: api.name, source }),
                    }
                }
                self.expect(header, api);
                Place::Relay { left: size, metered: false }
            }
            RequestRule::Produce => {
                let ready = unread.len().min(size);
                let (head, format) = (&unread[..ready], Format { version, flexible });
                let verdict = match &*self.shared.full_disk() {
                    Some(reason) => full_disk::judge(head, format, reason),
                    None => Ok(Verdict::Pass),
                };
                match verdict.and_then(|verdict| Ok((verdict, produce::wants_answer(head, format)?))) {
                    Ok((Verdict::Pass, wanted)) => {
                        let walker = if self.shared.topic_quotas.is_any(Motion::Produce) {
                            let malformed = |source| Fault::Request { api: api.name, source };
                            let body_at = frame::request_body(head, flexible).map_err(malformed)?;
                            Some(Walker::new(records::produce(version), flexible).after(body_at))
                        } else {
                            None
                        };
                        if wanted {
                            self.expect(header, api);
                        }
                        match walker {
                            Some(walker) => {
                                let bill = wanted.then(Bill::default);
                                Place::Walk { left: size, walker, api: api.name, metered: true, bill }
                            }
                            None => Place::Relay { left: size, metered: true },
                        }
                    }
                    Ok((Verdict::Refuse(refused), _)) => {
                        self.shared.metrics.deny(key);
                        Place::Refuse { left: size, refused, then: (header, api) }
                    }
                    Ok((Verdict::End, _)) => return Err(Fault::DiskFull),
                    Err(Malformed::Short) if ready < size && ready < LOOKAHEAD_BYTES => return Ok(false),
                    Err(source) => return Err(Fault::Request { api: api.name, source }),
                }
            }
            RequestRule::Login if self.card.path.is_tls() => {
                self.hold = if self.hold == Hold::No { Hold::Reauthenticate } else { self.hold };
                return Ok(false);
            }
            RequestRule::Closed => return Err(Fault::UnknownApi { key, version }),
            RequestRule::Login => {
                self.expect(header, api);
                Place::Relay { left: size, metered: false }
            }
            RequestRule::Admit(None, codec) if !self.shared.snapshot().limits(codec.counted) => {
                self.expect(header, api);
                Place::Relay { left: size, metered: false }
            }
            RequestRule::Group(may_make, _) | RequestRule::Streams(may_make, _) => {
                let (ready, format) = (unread.len().min(size), Format { version, flexible });
                let way = match api.request {
                    RequestRule::Streams(..) => streams::way(&self.shared, format, &unread[..ready]),
                    _ => groups::way(&self.shared, may_make, format, &unread[..ready]),
                };
                match way {
                    Ok(Way::Relay) => {
                        self.expect(header, api);
                        Place::Relay { left: size, metered: false }
                    }
                    Ok(Way::Pass(pass)) => {
                        self.expect_passed(header, api, pass);
                        Place::Relay { left: size, metered: false }
                    }
                    Ok(Way::Ask) if size > MAX_CONTROL_REQUEST => return Err(Fault::FrameLength),
                    Ok(Way::Ask) => {
                        Place::Gather { frame: Gathering::new(size, &self.shared.gather_budget), then: (header, api) }
                    }
                    Err(Malformed::Short) if ready < size && ready < LOOKAHEAD_BYTES => return Ok(false),
                    Err(source) => return Err(Fault::Request { api: api.name, source }),
                }
            }
            RequestRule::Filter(_) | RequestRule::Admit(..) if size > MAX_CONTROL_REQUEST => {
                return Err(Fault::FrameLength);
            }
            RequestRule::Filter(_) | RequestRule::Admit(..) => {
                Place::Gather { frame: Gathering::new(size, &self.shared.gather_budget), then: (header, api) }
            }
            RequestRule::Refuse(answer) => {
                self.answer(header, api, &answer(version));
                Place::Drop { left: size }
            }
        };
        if let Place::Relay { left, .. } | Place::Walk { left, .. } = &self.request
            && self.by_kernel
        {
            self.requests.expect_run(*left);
        }
        self.seen += 1;
        self.shared.metrics.request(key);
        Ok(true)
    }

    pub(super) fn expect(&mut self, header: RequestHeader, api: &'static Api) {
        let RequestHeader { key, version, correlation, .. } = header;
        let flexible = api.is_header_flexible(version);
        let rule = api.response_rule(version);
        self.pipeline.push(Expected::FromKafka { correlation, key, version, flexible, rule, bill: None });
    }

    /// Runs the filter of a whole request.
    fn decide(&mut self, frame: Vec<u8>, header: RequestHeader, api: &'static Api) -> Result<(), Fault> {
        let RequestHeader { key, version, correlation, .. } = header;
        let malformed = |source| Fault::Request { api: api.name, source };
        let format = Format { version, flexible: api.is_flexible(version) };
        let body_at = frame::request_body(&frame, format.flexible).map_err(malformed)?;
        if key == table::API_VERSIONS {
            api_versions::note_software(&self.card, format, &frame[body_at..]);
        }
        if matches!(api.request, RequestRule::Metadata) {
            self.expect_topics(&frame[body_at..], header, api).map_err(malformed)?;
            self.requests.put(frame);
            return Ok(());
        }
        let decision = match api.policy() {
            None => Decision::Forward,
            Some(filter) => {
                let snapshot = self.shared.snapshot();
                filter(self.scope(&snapshot), format, &frame[body_at..]).map_err(malformed)?
            }
        };
        let decision = match (api.request, decision) {
            (RequestRule::Group(_, codec) | RequestRule::Streams(_, codec), Decision::Forward) => {
                codec.reserved(format, &frame[body_at..]).map_err(malformed)?.unwrap_or(Decision::Forward)
            }
            (_, decision) => decision,
        };
        if let RequestRule::Admit(_, codec) | RequestRule::Group(_, codec) = api.request
            && self.shared.snapshot().limits(codec.counted)
        {
            return self.ask_admission(frame, body_at, header, api, codec, decision).map_err(malformed);
        }
        if let (RequestRule::Streams(_, codec), Decision::Forward) = (api.request, &decision)
            && [Counted::Partitions, Counted::Groups].iter().any(|counted| self.shared.snapshot().limits(*counted))
        {
            return self.ask_for_heartbeat(frame, body_at, header, api, codec).map_err(malformed);
        }
        let flexible = api.is_header_flexible(version);
        match decision {
            Decision::Forward => {
                self.expect(header, api);
                self.requests.put(frame);
            }
            Decision::Amend { body, merge, own_bytes } => {
                self.shared.metrics.deny(key);
                self.pipeline.push(Expected::Amended { correlation, flexible, merge, own_bytes, settlement: None });
                self.requests.put(frame::with_body(&frame, body_at, &body));
            }
            Decision::Answer(body) => self.answer(header, api, &body),
        }
        Ok(())
    }
}
