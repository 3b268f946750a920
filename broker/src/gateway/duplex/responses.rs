//! Responses: matched with what was asked, edited or completed, in the order of the requests.

use super::{Duplex, Fault, Hold, Place};
use crate::gateway::filters::walk::{Layout, Op, Seen, Walker};
use crate::gateway::filters::{Format, addresses, endpoints, records};
use crate::gateway::flow::{LEAST_RUN, LOOKAHEAD_BYTES};
use crate::gateway::frame::{self, LENGTH, RESPONSE_PEEK};
use crate::gateway::gather::Gathering;
use crate::gateway::pipeline::Expected;
use crate::gateway::stream::Stream;
use crate::gateway::table::{self, ResponseRule};
use crate::gateway::topic_quotas::{Bill, Debt, Motion, TopicQuotas};
use crate::gateway::wire::{Malformed, Wire};
use std::io;
use std::task::Context;

/// Largest response that is gathered: settings of ten thousand topics.
const MAX_CONTROL_RESPONSE: usize = 64 * 1024 * 1024;
/// A response below this is looked at when all of it is there: most come in one piece, and the kernel moves none of them.
pub(in crate::gateway) const SHORT_BYTES: usize = 32 * 1024;
const _: () = assert!(SHORT_BYTES <= LOOKAHEAD_BYTES && SHORT_BYTES <= LEAST_RUN);

impl<C, U> Duplex<C, U>
where
    C: Stream,
    U: Stream,
{
    /// Reads from Kafka, or lets the kernel move what nobody here looks at.
    pub(super) fn read_responses(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let (run, metered) = self.response.unseen();
        if run >= LEAST_RUN
            && !self.gone
            && let Some(source) = self.upstream.socket().filter(|_| self.by_kernel)
        {
            let ended = self.responses.ended;
            let meter = (metered && self.hold != Hold::Drain).then_some(&mut self.egress);
            if let Some(moved) = self.responses.relay(cx, source, run, meter)? {
                self.response.pass_unseen(moved);
                return Ok(moved > 0 || self.responses.ended != ended);
            }
        }
        self.responses.fill(cx, &mut self.upstream, usize::MAX)
    }

    /// Takes responses as far as they are there. True when any byte moved.
    pub(super) fn advance_responses(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let mut progress = false;
        self.unpaid = false;
        while self.responses.may_pass() && self.settling.is_none() && self.making.is_none() {
            let here = self.responses.unread().len();
            match &mut self.response {
                Place::Boundary => {
                    if let Some(answer) = self.pipeline.next_own() {
                        self.responses.put(answer);
                    } else if !self.start_response()? {
                        break;
                    }
                }
                Place::Relay { left, metered } => {
                    let mut n = here.min(*left);
                    // Whoever must leave is not slowed.
                    if *metered && n > 0 && self.hold != Hold::Drain {
                        n = self.egress.pay(cx, n);
                        self.unpaid = n == 0;
                    }
                    self.responses.pass(n);
                    *left -= n;
                    if *left > 0 {
                        return Ok(progress || n > 0);
                    }
                    self.response = Place::Boundary;
                }
                Place::Walk { left, walker, api, metered, bill } => {
                    let mut ready = here.min(*left);
                    let metered = *metered && ready > 0 && self.hold != Hold::Drain;
                    if metered {
                        ready = ready.min(self.egress.poll_credit(cx));
                        if ready == 0 {
                            self.unpaid = true;
                            return Ok(progress);
                        }
                    }
                    let quotas = &self.shared.topic_quotas;
                    let here = &mut self.responses.unread_mut()[..ready];
                    let n = walker
                        .walk(here, *left as u64, &mut noted(bill, &mut self.produced, &mut self.consumed, quotas))
                        .map_err(|source| Fault::Response { api, source })?;
                    if metered {
                        self.egress.spend(n);
                    }
                    self.responses.pass(n);
                    *left -= n;
                    if *left > 0 {
                        if self.by_kernel {
                            self.responses.expect_run(walker.unseen());
                        }
                        return Ok(progress || n > 0);
                    }
                    self.response = Place::Boundary;
                }
                Place::Head { .. } => {
                    if !self.rewrite_head()? {
                        break;
                    }
                }
                Place::Replace { size, owed, by } => {
                    if *owed > 0 && self.hold != Hold::Drain {
                        let paid = self.egress.pay(cx, *owed);
                        *owed -= paid;
                        if *owed > 0 {
                            self.unpaid = paid == 0;
                            return Ok(progress || paid > 0);
                        }
                    }
                    if !self.responses.is_written() {
                        break;
                    }
                    let by = std::mem::take(by);
                    self.responses.take_out(*size);
                    self.responses.put(by);
                    self.response = Place::Boundary;
                }
                Place::Gather { frame, .. } => {
                    let n = here.min(frame.missing());
                    if !self.responses.is_written() {
                        break;
                    }
                    frame.add(&self.responses.unread()[..n])?;
                    self.responses.take_out(n);
                    if frame.missing() > 0 {
                        return Ok(progress || n > 0);
                    }
                    if let Place::Gather { mut frame, then } = std::mem::replace(&mut self.response, Place::Boundary) {
                        self.complete(frame.whole(), then)?;
                    }
                }
                // Only requests are dropped or refused.
                Place::Drop { .. } | Place::Refuse { .. } => self.response = Place::Boundary,
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
        let is_short = size < SHORT_BYTES;
        if is_short && unread.len() < size {
            return Ok(false);
        }
        let answered = i32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let expected = self.pipeline.next().ok_or(Fault::OutOfTurn)?;
        let (correlation, gathered) = match &expected {
            Expected::FromKafka { correlation, rule, .. } => (*correlation, matches!(rule, ResponseRule::Filter(_))),
            Expected::Amended { correlation, .. }
            | Expected::Topics { correlation, .. }
            | Expected::Created { correlation, .. } => (*correlation, true),
            Expected::Own(_) => return Err(Fault::OutOfTurn),
        };
        if answered != correlation {
            return Err(Fault::OutOfTurn);
        }
        if gathered {
            if size > MAX_CONTROL_RESPONSE {
                return Err(Fault::FrameLength);
            }
            let frame = Gathering::new(size, &self.shared.gather_budget);
            self.response = Place::Gather { frame, then: expected };
            return Ok(true);
        }
        if let Expected::FromKafka { key, version, flexible, rule, bill, .. } = expected {
            let metered = table::moves_records(key) == Some(Motion::Consume);
            // Who must wait already is told so, whatever this answer is of.
            let waits = key == table::PRODUCE && self.produced.wait_ms() > 0;
            let mut bill = bill.map(|bill| *bill).or_else(|| waits.then(Bill::default));
            let walked = match key {
                table::PRODUCE if bill.is_some() => Some(records::produced(version)),
                table::FETCH if self.shared.topic_quotas.is_any(Motion::Consume) => Some(records::fetch(version)),
                table::SHARE_FETCH if self.shared.topic_quotas.is_any(Motion::Consume) => Some(records::SHARE_FETCH),
                _ => None,
            };
            let api = table::name(key);
            self.response = match (walked, rule) {
                (Some(layout), _) | (None, ResponseRule::Walk(layout)) => match endpoints::split(layout) {
                    Some(layout) if is_short => match self.told_here(size, layout, flexible, &mut bill) {
                        Ok(Some(by)) => Place::Replace { size, owed: if metered { size } else { 0 }, by },
                        Ok(None) => Place::Relay { left: size, metered },
                        Err(source) => return Err(Fault::Response { api, source }),
                    },
                    _ => Place::Walk { left: size, walker: Walker::new(layout, flexible), api, metered, bill },
                },
                (None, ResponseRule::Metadata) => Place::Head { size, flexible, version },
                (None, ResponseRule::Relay | ResponseRule::Filter(_)) => Place::Relay { left: size, metered },
            };
            if let Place::Relay { left, .. } = &self.response
                && self.by_kernel
                && !is_short
            {
                self.responses.expect_run(*left);
            }
        }
        Ok(true)
    }

    /// Walks over the next response, which is here whole. What takes its place, if it tells endpoints.
    fn told_here(
        &mut self,
        size: usize,
        (before, end): (Layout, Op),
        flexible: bool,
        bill: &mut Option<Bill>,
    ) -> Wire<Option<Vec<u8>>> {
        let quotas = &self.shared.topic_quotas;
        let here = &mut self.responses.unread_mut()[..size];
        let mut walker = Walker::new(before, flexible).open();
        let at = walker.walk(here, size as u64, &mut noted(bill, &mut self.produced, &mut self.consumed, quotas))?;
        let snapshot = self.shared.snapshot();
        endpoints::told(self.scope(&snapshot), end, &self.responses.unread()[..size], at)
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
            addresses::metadata_head(
                self.scope(&snapshot),
                Format { version, flexible },
                &self.responses.unread()[..ready],
            )
        };
        match rewritten {
            Ok((head, read)) => {
                let left = size - read;
                let length = i32::try_from(head.len() + left - LENGTH).map_err(|_| Fault::FrameLength)?;
                let mut head = head;
                head[..LENGTH].copy_from_slice(&length.to_be_bytes());
                self.responses.take_out(read);
                self.responses.put(head);
                self.response = Place::Relay { left, metered: false };
                Ok(true)
            }
            Err(Malformed::Short) if ready < size && ready < LOOKAHEAD_BYTES => Ok(false),
            Err(source) => Err(Fault::Response { api: "Metadata", source }),
        }
    }

    /// Runs the filter, or the merge, of a whole response.
    fn complete(&mut self, frame: Vec<u8>, expected: Expected) -> Result<(), Fault> {
        let expected = match expected {
            Expected::Topics { version, flexible, .. } => {
                return self.complete_topics(frame, Format { version, flexible });
            }
            Expected::Created { settlement, .. } => return self.created(&frame, settlement),
            expected => expected,
        };
        let (flexible, api) = match &expected {
            Expected::Amended { flexible, .. } => (*flexible, "an amended request"),
            Expected::FromKafka { key, flexible, .. } => (*flexible, table::name(*key)),
            Expected::Topics { .. } | Expected::Created { .. } | Expected::Own(_) => return Err(Fault::OutOfTurn),
        };
        let malformed = |source| Fault::Response { api, source };
        let body_at = frame::response_body(&frame, flexible).map_err(malformed)?;
        let mut settlement = None;
        let body = match expected {
            Expected::Amended { merge, settlement: due, .. } => {
                settlement = due;
                merge(&frame[body_at..])
            }
            Expected::FromKafka { key, version, rule: ResponseRule::Filter(filter), .. } => {
                let flexible = table::find(key, version).is_some_and(|api| api.is_flexible(version));
                let snapshot = self.shared.snapshot();
                filter(self.scope(&snapshot), Format { version, flexible }, &frame[body_at..])
            }
            Expected::FromKafka { .. } | Expected::Topics { .. } | Expected::Created { .. } | Expected::Own(_) => {
                return Err(Fault::OutOfTurn);
            }
        };
        let completed = frame::with_body(&frame, body_at, &body.map_err(malformed)?);
        match settlement {
            None => self.responses.put(completed),
            Some(settlement) => self.settle(settlement, &frame[body_at..], completed).map_err(malformed)?,
        }
        Ok(())
    }
}

/// Notes what a walker of a response comes by: of what was produced by this bill, else of what is consumed.
fn noted<'a>(
    bill: &'a mut Option<Bill>,
    produced: &'a mut Debt,
    consumed: &'a mut Debt,
    quotas: &'a TopicQuotas,
) -> impl FnMut(Seen<'_>) + 'a {
    move |seen| match bill {
        Some(bill) => bill.settle(produced, quotas, seen),
        None => consumed.note(quotas, Motion::Consume, seen),
    }
}
