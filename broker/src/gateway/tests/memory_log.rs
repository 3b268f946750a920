//! A log in memory, which can be out of reach.

use super::super::admission::log::{Log, Page};
use futures::future::BoxFuture;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

pub(super) struct MemoryLog<R>(Arc<State<R>>);

struct State<R> {
    records: Mutex<Vec<R>>,
    appended: Notify,
    away: Mutex<bool>,
}

impl<R> Clone for MemoryLog<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> Default for MemoryLog<R> {
    fn default() -> Self {
        Self(Arc::new(State { records: Mutex::default(), appended: Notify::new(), away: Mutex::default() }))
    }
}

impl<R: Clone> MemoryLog<R> {
    pub(super) fn go(&self, away: bool) {
        *self.0.away.lock().unwrap() = away;
        self.0.appended.notify_waiters();
    }

    pub(super) fn check(&self) -> io::Result<()> {
        if *self.0.away.lock().unwrap() { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(()) }
    }

    pub(super) fn records(&self) -> Vec<R> {
        self.0.records.lock().unwrap().clone()
    }
}

impl<R: Clone + Send + Sync + 'static> Log<R> for MemoryLog<R> {
    fn append<'a>(&'a self, records: &'a [R]) -> BoxFuture<'a, io::Result<i64>> {
        Box::pin(async move {
            self.check()?;
            let mut log = self.0.records.lock().unwrap();
            let first = i64::try_from(log.len()).unwrap();
            log.extend_from_slice(records);
            self.0.appended.notify_waiters();
            Ok(first)
        })
    }

    fn read(&self, place: i64) -> BoxFuture<'_, io::Result<Page<R>>> {
        Box::pin(async move {
            loop {
                let appended = self.0.appended.notified();
                self.check()?;
                let records: Vec<_> = {
                    let log = self.0.records.lock().unwrap();
                    (0..).zip(log.iter().cloned()).skip(usize::try_from(place).unwrap()).collect()
                };
                if !records.is_empty() {
                    return Ok(Page { restarted: false, next: place + records.len() as i64, records });
                }
                appended.await;
            }
        })
    }
}
