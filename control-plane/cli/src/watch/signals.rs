//! When to look at a job again: at each of its events, and now and then without one.
//!
//! Events say that something changed; the job itself is read each time, so that a lost event loses nothing. A stream
//! that breaks is resumed after the last event seen. A server or proxy without streams leaves the poll.

use crate::{
    client::{
        Client,
        call::Call,
        events::{Event, Events},
    },
    error::{Error, Result},
};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// Between looks when events arrive: for the time left, and for events that were lost.
const HEARTBEAT: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_secs(1);
/// Between two openings of the stream.
const REOPEN: Duration = Duration::from_millis(500);
/// Events that come together are looked at together.
const TOGETHER: Duration = Duration::from_millis(30);

pub struct Signals<'a> {
    client: &'a Client,
    call: Call,
    stream: Option<Events>,
    last_id: Option<String>,
    /// Not before.
    open_at: Instant,
    no_stream: bool,
}

impl<'a> Signals<'a> {
    pub fn new(client: &'a Client, call: Call) -> Self {
        let call = call.header("accept", "text/event-stream");
        Self { client, call, stream: None, last_id: None, open_at: Instant::now(), no_stream: false }
    }

    /// Returns when the job should be looked at again.
    pub async fn wait(&mut self) {
        if self.no_stream {
            return tokio::time::sleep(POLL).await;
        }
        let patience = if self.stream.is_some() { HEARTBEAT } else { POLL };
        if timeout(patience, self.event()).await.is_ok() {
            while let Ok(Some(_)) = timeout(TOGETHER, self.event()).await {}
        }
    }

    /// The next event; `None` when the stream ended or cannot be had.
    async fn event(&mut self) -> Option<Event> {
        if self.stream.is_none() {
            sleep_until(self.open_at).await;
            self.open_at = Instant::now() + REOPEN;
            match self.open().await {
                Ok(stream) => self.stream = Some(stream),
                Err(Error::Problem(_)) => {
                    self.no_stream = true;
                    return None;
                }
                Err(_) => return None,
            }
        }
        let event = self.stream.as_mut()?.next().await.ok().flatten();
        match &event {
            Some(event) => self.last_id = event.id.clone().or(self.last_id.take()),
            None => self.stream = None,
        }
        event
    }

    async fn open(&self) -> Result<Events> {
        let call = match &self.last_id {
            Some(id) => self.call.clone().header("last-event-id", id.clone()),
            None => self.call.clone(),
        };
        self.client.events(&call).await
    }
}
