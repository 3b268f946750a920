//! Admission: the sum of partitions of an instance, and the number of its consumer groups, is never above what was sold,
//! whoever asks, at whichever broker.
//!
//! Owns the decision; the filters know the messages, and a connection carries out what was decided. Every request that makes
//! or deletes what is counted is written to one log first ([`log`]), decided from that log and from what Kafka shows
//! ([`ledger`]), sent to Kafka on the client's own connection, and ended in the log. The protocol, and what it assumes, is
//! docs/adr/0011-admission.md; what is different for groups is docs/adr/0016-groups.md, and for what Streams groups make,
//! [`streams`]. Needs no control plane. Where the log
//! can't be reached, nothing is made, and all other traffic goes on.
//!
//! ```text
//! request ► intent ──► granted ──► Kafka ──► end ──► answer
//!             │   log     │                  log
//!             ▼           ▼
//!         try again    refused (POLICY_VIOLATION)
//! ```

pub(super) mod counted;
pub(super) mod groups;
pub(super) mod ledger;
pub(super) mod log;
pub(super) mod log_topic;
pub(super) mod partitions;
pub(super) mod record;
mod room;
pub(super) mod seen;
mod streams;
pub(super) mod topology;

use super::filters::admitted::{Asked, Change, Item, Outcome};
use super::filters::split::Refusal;
use counted::Counted;
use ledger::{EXPIRY, Ledger, START_WITHIN, Topics, Verdict};
use log::{Inventory, Log, Page};
use record::{Deleted, End, Id, Intent, Record, Want};
use seen::{Pass, Seen};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
pub(super) use streams::Reserved;
use streams::Streams;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// After a failed read or write of the log.
const AGAIN: Duration = Duration::from_millis(100);
/// How often metadata is looked at while others are in the way, beside each change of the log.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// For the end of a request to be written before its client hears of it; later ends are written all the same.
const END_WITHIN: Duration = Duration::from_secs(2);
/// Topics of the intents that are written at once: their names fit into the smallest batch that Kafka takes here.
const TOPICS_AT_ONCE: usize = 4000;

/// How often the log says that clients are refused.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How often lost intents are looked for, and the time in which a broker that nothing holds up answers.
const PROBE_EVERY: Duration = Duration::from_secs(1);
const PROMPTLY: Duration = Duration::from_secs(1);
/// Lost intents that are looked for at once.
const PROBED_AT_ONCE: usize = 200;

struct Outgoing {
    record: Record,
    /// After this nobody needs it.
    until: Instant,
    written: oneshot::Sender<i64>,
}

/// See the module.
pub(super) struct Admission {
    counted: Counted,
    log: Box<dyn Log<Record>>,
    inventory: Box<dyn Inventory>,
    ledger: Mutex<Ledger>,
    /// Every record below this offset is in the ledger.
    applied: watch::Sender<i64>,
    topics: AsyncMutex<Option<(Instant, Arc<Topics>)>>,
    /// Of groups.
    seen: Seen,
    /// Of partitions: who makes topics without asking for them.
    streams: Streams,
    /// When it was told last that there is no room.
    told_full: Mutex<Option<Instant>>,
    outbox: mpsc::UnboundedSender<Outgoing>,
    /// Taken by the task that writes.
    outgoing: Mutex<Option<mpsc::UnboundedReceiver<Outgoing>>>,
}

/// What becomes of a request.
pub(super) struct Admitted {
    /// What there is no room for, if there is none.
    pub(super) counted: Counted,
    /// By item; `None` may go to Kafka.
    pub(super) refusals: Vec<Option<Refusal>>,
    /// What makes something may go only with the ticket, while that may start.
    pub(super) needs_ticket: bool,
    pub(super) ticket: Option<Ticket>,
    /// For topics that are made on the way.
    pub(super) reserved: Option<Reserved>,
    /// Held until the request is answered.
    pub(super) pass: Option<Pass>,
}

impl Admitted {
    /// Nothing that counts is made.
    pub(super) fn freely(counted: Counted, asked: &Asked) -> Self {
        let refusals = vec![None; asked.items.len()];
        Self { counted, refusals, needs_ticket: false, ticket: None, reserved: None, pass: None }
    }
}

impl Admission {
    pub(super) fn new(
        counted: Counted,
        log: impl Log<Record> + 'static,
        inventory: impl Inventory + 'static,
    ) -> Arc<Self> {
        let (outbox, outgoing) = mpsc::unbounded_channel();
        Arc::new(Self {
            counted,
            log: Box::new(log),
            inventory: Box::new(inventory),
            ledger: Mutex::new(Ledger::of(counted)),
            applied: watch::Sender::new(0),
            topics: AsyncMutex::default(),
            seen: Seen::default(),
            streams: Streams::default(),
            told_full: Mutex::default(),
            outbox,
            outgoing: Mutex::new(Some(outgoing)),
        })
    }

    /// Reads and writes the log until `end`, while `needed` holds, and looks after what `node` has lost.
    pub(super) async fn run(self: Arc<Self>, node: i32, mut needed: watch::Receiver<bool>, end: CancellationToken) {
        let Some(outgoing) = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let reading = async {
            // Ends when nobody can need it any more.
            while needed.wait_for(|needed| *needed).await.is_ok() {
                self.read_on().await;
            }
        };
        tokio::select! {
            () = end.cancelled() => {}
            () = reading => {}
            () = self.write(outgoing) => {}
            () = self.look_for_lost(node) => {}
        }
    }

    async fn read_on(&self) {
        let place = *self.applied.borrow();
        let began = Instant::now();
        match self.log.read(place).await {
            Ok(Page { restarted, records, next }) => {
                let mut ledger = self.ledger();
                if restarted {
                    *ledger = Ledger::of(self.counted);
                    self.streams.forget();
                }
                let now = Instant::now();
                for (offset, record) in records {
                    // Its room is free from here on, and another gateway may have ended it.
                    if let Record::End(end) = &record {
                        end.deleted.iter().for_each(|deleted| match self.counted {
                            Counted::Groups => drop(self.seen.bar(&deleted.topic, now)),
                            Counted::Partitions => self.streams.lose(&deleted.topic),
                        });
                    }
                    ledger.apply(offset, record, now);
                }
                drop(ledger);
                self.seen.heard(began);
                self.applied.send_replace(next);
            }
            Err(error) => {
                info!(%error, "the admission log can't be read now");
                sleep(AGAIN).await;
            }
        }
    }

    /// Writes what waits, as much as there is at once, until it is written or nobody needs it.
    async fn write(&self, mut outgoing: mpsc::UnboundedReceiver<Outgoing>) {
        while let Some(first) = outgoing.recv().await {
            let mut batch = vec![first];
            while batch.iter().map(Outgoing::topics).sum::<usize>() < TOPICS_AT_ONCE
                && let Ok(next) = outgoing.try_recv()
            {
                batch.push(next);
            }
            while !batch.is_empty() {
                let records: Vec<_> = batch.iter().map(|outgoing| outgoing.record.clone()).collect();
                match self.log.append(&records).await {
                    Ok(first) => {
                        for (offset, outgoing) in (first..).zip(batch.drain(..)) {
                            // Who waited for it may have given up.
                            let _ = outgoing.written.send(offset);
                        }
                    }
                    Err(error) => {
                        warn!(%error, "the admission log can't be written now");
                        sleep(AGAIN).await;
                        let now = Instant::now();
                        batch.retain(|outgoing| now < outgoing.until);
                    }
                }
            }
        }
    }

    /// Ends intents of this node whose gateway is gone, or whose answers never came or told nothing. Two prompt answers, one
    /// after the other, of the broker that their requests went through show that none of these waits in it any more.
    async fn look_for_lost(&self, node: i32) {
        loop {
            sleep(PROBE_EVERY).await;
            let mut lost = self.ledger().lost(node, Instant::now());
            lost.truncate(PROBED_AT_ONCE);
            if lost.is_empty() {
                continue;
            }
            let wants: Vec<_> = lost.iter().map(|(_, want)| want.clone()).collect();
            let probe = || timeout(PROMPTLY, self.inventory.probe(&wants));
            let Ok(Ok(_)) = probe().await else { continue };
            sleep(PROBE_EVERY).await;
            let Ok(Ok(told)) = probe().await else { continue };
            for ((id, want), is_made) in lost.into_iter().zip(told) {
                let (made, not_made) = match is_made {
                    Some(true) => (vec![want.topic], Vec::new()),
                    Some(false) => (Vec::new(), vec![want.topic]),
                    None => continue,
                };
                // Written in a while or never; then it is looked for again.
                drop(self.send(Record::End(End { id, made, not_made, deleted: Vec::new() }), Instant::now() + EXPIRY));
            }
        }
    }

    /// Lets a request pass that may make this group, and that nobody needs to be asked about.
    pub(super) fn pass(&self, group: &str) -> Option<Pass> {
        self.seen.pass(group, Instant::now())
    }

    /// Decides about a request that makes or deletes what is counted, where `limit` are allowed.
    pub(super) async fn admit(self: Arc<Self>, asked: Arc<Asked>, limit: u64, node: i32) -> Admitted {
        let start_by = Instant::now() + START_WITHIN;
        let decided = timeout_at(start_by, async {
            if asked.change == Change::Delete {
                self.note(&asked, node, start_by).await
            } else {
                self.decide(&asked, limit, node, start_by).await
            }
        });
        match decided.await {
            Ok(Ok(admitted)) => admitted,
            // What can't be counted now is not made. Deleting takes no room.
            _ if asked.change == Change::Delete => self.freely(&asked),
            _ if self.is_here(&asked).await => self.freely(&asked),
            _ => {
                let refused = |item: &Item| item.partitions.map(|_| self.counted.undecided());
                let refusals = asked.items.iter().map(refused).collect();
                Admitted { refusals, needs_ticket: true, ..self.freely(&asked) }
            }
        }
    }

    /// Whether all that is asked for is there, so that it takes no room whatever the log says.
    async fn is_here(&self, asked: &Asked) -> bool {
        for item in &asked.items {
            let Some(name) = item.name.as_deref().filter(|_| item.partitions.is_some()) else { continue };
            if !matches!(timeout(PROMPTLY, self.inventory.is_here(name)).await, Ok(Ok(true))) {
                return false;
            }
        }
        true
    }

    async fn decide(self: &Arc<Self>, asked: &Asked, limit: u64, node: i32, start_by: Instant) -> io::Result<Admitted> {
        let wants = wants(asked);
        let mut ticket = Ticket::new(self, start_by);
        if asked.change == Change::Nothing {
            ticket.at = self.intend(ticket.id, Vec::new(), node, start_by).await?;
            let topics = self.topics().await?;
            let verdicts = self.ledger().would_fit(&wants, limit, &topics);
            return Ok(self.refused(asked, &wants, &verdicts, limit));
        }
        if wants.is_empty() {
            return Ok(self.freely(asked));
        }
        if self.counted == Counted::Groups
            && let topics = self.topics().await?
            && let Some(verdicts) = self.ledger().none_fits(&wants, limit, &topics)
        {
            // So that whoever goes on asking for groups that can't be costs the log nothing.
            return Ok(self.refused(asked, &wants, &verdicts, limit));
        }
        ticket.topics = wants.iter().map(|want| want.topic.clone()).collect();
        ticket.at = self.intend(ticket.id, wants.clone(), node, start_by).await?;
        let decide = |ledger: &mut Ledger, topics: &Topics| {
            let verdicts = ledger.decide(ticket.id, wants.len(), limit, topics);
            (!verdicts.contains(&Verdict::Undecided)).then_some(verdicts)
        };
        let verdicts = self.decided(decide).await?;
        let refused = wants.iter().zip(&verdicts).filter(|(_, verdict)| **verdict != Verdict::Granted);
        ticket.give_up(refused.map(|(want, _)| want.topic.clone()).collect());
        let ticket = (!ticket.topics.is_empty()).then_some(ticket);
        Ok(Admitted { ticket, ..self.refused(asked, &wants, &verdicts, limit) })
    }

    /// Looks at the ledger, with each change of the log and of what there is, until it is decided.
    async fn decided<V>(&self, mut decide: impl FnMut(&mut Ledger, &Topics) -> Option<V>) -> io::Result<V> {
        let mut changes = self.applied.subscribe();
        loop {
            changes.mark_unchanged();
            let now = Instant::now();
            let topics = self.topics().await?;
            let decided = {
                let mut ledger = self.ledger();
                ledger.forget(&topics, now);
                decide(&mut ledger, &topics)
            };
            if let Some(decided) = decided {
                return Ok(decided);
            }
            // Either way there may be something new.
            let _ = timeout(LOOK_EVERY, changes.changed()).await;
        }
    }

    /// Notes what is about to be deleted, so that its room can be given away as soon as it is.
    async fn note(self: &Arc<Self>, asked: &Asked, node: i32, start_by: Instant) -> io::Result<Admitted> {
        let mut ticket = Ticket::new(self, start_by);
        ticket.at = self.intend(ticket.id, Vec::new(), node, start_by).await?;
        if self.counted == Counted::Groups {
            let names = || asked.items.iter().filter_map(|item| item.name.as_ref());
            self.seen.bar_and_wait(names().map(String::as_str)).await;
            ticket.deletions.extend(names().map(|name| (name.clone(), None)));
            return Ok(Admitted { ticket: Some(ticket), ..self.freely(asked) });
        }
        let topics = self.topics().await?;
        for item in &asked.items {
            let by_id = || topics.0.iter().find(|(_, topic)| Some(topic.id) == item.topic_id);
            let known = match &item.name {
                Some(name) => Some((name.clone(), topics.0.get(name).map(|topic| topic.id))),
                None => by_id().map(|(name, topic)| (name.clone(), Some(topic.id))),
            };
            ticket.deletions.extend(known);
        }
        Ok(Admitted { ticket: Some(ticket), ..self.freely(asked) })
    }

    /// What exists, or is about to.
    pub(super) async fn used(&self) -> io::Result<u64> {
        let now = Instant::now();
        let topics = self.topics().await?;
        let mut ledger = self.ledger();
        ledger.forget(&topics, now);
        Ok(ledger.used(&topics))
    }

    /// Writes an intent, and waits until the ledger knows all that was written before it. Gives its offset.
    async fn intend(&self, id: Id, topics: Vec<Want>, node: i32, start_by: Instant) -> io::Result<i64> {
        let written = self.send(Record::Intent(Intent { id, node, topics }), start_by);
        let offset = written.await.map_err(io::Error::other)?;
        let mut applied = self.applied.subscribe();
        applied.wait_for(|applied| *applied > offset).await.map_err(io::Error::other)?;
        Ok(offset)
    }

    fn send(&self, record: Record, until: Instant) -> oneshot::Receiver<i64> {
        let (written, offset) = oneshot::channel();
        // Without the writer nothing is written, as the caller will see.
        let _ = self.outbox.send(Outgoing { record, until, written });
        offset
    }

    /// Topics as our broker knows them now or later; who asks together, reads together.
    async fn topics(&self) -> io::Result<Arc<Topics>> {
        let asked = Instant::now();
        let mut read = self.topics.lock().await;
        if let Some((at, topics)) = read.as_ref()
            && *at >= asked
        {
            return Ok(topics.clone());
        }
        let at = Instant::now();
        let topics = Arc::new(match self.inventory.topics().await {
            Ok(topics) => topics,
            // A connection that was idle may be gone; a second one tells.
            Err(_) => self.inventory.topics().await?,
        });
        *read = Some((at, topics.clone()));
        Ok(topics)
    }

    fn refused(&self, asked: &Asked, wants: &[Want], verdicts: &[Verdict], limit: u64) -> Admitted {
        let by_name: HashMap<&str, &Verdict> = wants.iter().map(|want| want.topic.as_str()).zip(verdicts).collect();
        let refusal = |name: &String| match by_name.get(name.as_str()) {
            None | Some(Verdict::Granted) => None,
            Some(Verdict::Refused { used, more }) => {
                self.tell_full(limit, *used);
                Some(self.counted.full(name, limit, *used, *more))
            }
            Some(Verdict::Undecided | Verdict::Held | Verdict::Ended) => Some(self.counted.undecided()),
        };
        let counts = |item: &Item| item.name.as_ref().filter(|_| item.partitions.is_some()).and_then(refusal);
        Admitted { refusals: asked.items.iter().map(counts).collect(), needs_ticket: true, ..self.freely(asked) }
    }

    fn freely(&self, asked: &Asked) -> Admitted {
        Admitted::freely(self.counted, asked)
    }

    /// Says that there is no room, now and then.
    fn tell_full(&self, limit: u64, used: u64) {
        let mut told = self.told_full.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            info!(
                limit,
                used,
                counted = self.counted.plural(),
                "a client was refused: the instance has all that it may have"
            );
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outgoing {
    fn topics(&self) -> usize {
        match &self.record {
            Record::Intent(intent) => intent.topics.len() + 1,
            Record::End(end) => end.made.len() + end.not_made.len() + end.deleted.len() + 1,
        }
    }
}

/// The right to send one request to Kafka, and the duty to say what became of it. Dropped before it was sent, it says
/// that nothing was made; dropped after that, nobody knows, and its intents stay open until they are seen or expire.
pub(super) struct Ticket {
    admission: Arc<Admission>,
    id: Id,
    /// Offset of the intent.
    at: i64,
    start_by: Instant,
    sent: bool,
    /// Topics that are open.
    topics: Vec<String>,
    deletions: Vec<(String, Option<Id>)>,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("id", &self.id).field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Ticket {
    fn new(admission: &Arc<Admission>, start_by: Instant) -> Self {
        Self {
            admission: admission.clone(),
            id: Id(rand::random()),
            at: 0,
            start_by,
            sent: false,
            topics: Vec::new(),
            deletions: Vec::new(),
        }
    }

    /// To be called right before the request is written. False when it is too late for that.
    pub(super) fn start(&mut self) -> bool {
        self.sent = Instant::now() < self.start_by;
        self.sent
    }

    fn give_up(&mut self, topics: Vec<String>) {
        if topics.is_empty() {
            return;
        }
        self.topics.retain(|topic| !topics.contains(topic));
        self.end(End { id: self.id, made: Vec::new(), not_made: topics, deleted: Vec::new() });
    }

    fn end(&self, end: End) -> oneshot::Receiver<i64> {
        self.admission.send(Record::End(end), Instant::now() + EXPIRY)
    }

    /// Writes what Kafka answered. The client may hear it when this is done.
    pub(super) async fn settle(mut self, outcomes: Vec<Outcome>) {
        let mut end = End { id: self.id, made: Vec::new(), not_made: Vec::new(), deleted: Vec::new() };
        for Outcome { name, topic_id, error } in outcomes {
            let only = || self.topics.first().filter(|_| topic_id.is_none()).cloned();
            if let Some(topic) = name.clone().or_else(only).filter(|name| self.topics.contains(name)) {
                match self.admission.counted.is_made(error) {
                    Some(true) => end.made.push(topic),
                    Some(false) => end.not_made.push(topic),
                    None => {}
                }
                continue;
            }
            let is_it = |known: &&(String, Option<Id>)| match &name {
                Some(name) => known.0 == *name,
                None => known.1.is_some() && known.1 == topic_id,
            };
            if error == 0
                && let Some((topic, known_id)) = self.deletions.iter().find(is_it)
            {
                let topic_id = topic_id.or(*known_id);
                end.deleted.push(Deleted { topic: topic.clone(), topic_id, since: self.at });
            }
        }
        self.topics.retain(|topic| !end.made.contains(topic) && !end.not_made.contains(topic));
        if end.made.is_empty() && end.not_made.is_empty() && end.deleted.is_empty() {
            return;
        }
        let (made, since) = (end.made.clone(), Instant::now());
        let written = self.end(end);
        match timeout(END_WITHIN, written).await {
            Ok(Ok(_)) if self.admission.counted == Counted::Groups => {
                let now = Instant::now();
                made.iter().for_each(|group| self.admission.seen.made(group, since, now));
            }
            Ok(_) => {}
            Err(_) => info!("an end of an admitted request is written later"),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.sent && !self.topics.is_empty() {
            let topics = std::mem::take(&mut self.topics);
            self.end(End { id: self.id, made: Vec::new(), not_made: topics, deleted: Vec::new() });
        }
    }
}

/// What a request wants, each topic or group once and with the most that it wants of it: Kafka refuses what names one twice.
fn wants(asked: &Asked) -> Vec<Want> {
    let mut wants: Vec<Want> = Vec::new();
    let mut places = HashMap::new();
    for item in &asked.items {
        let (Some(topic), Some(partitions)) = (&item.name, item.partitions) else { continue };
        let place = *places.entry(topic.clone()).or_insert(wants.len());
        match wants.get_mut(place) {
            Some(want) => want.partitions = want.partitions.max(partitions),
            None => wants.push(Want { topic: topic.clone(), partitions }),
        }
    }
    wants
}
