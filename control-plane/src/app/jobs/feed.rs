//! Hears of events of jobs: one connection of the process listens for all who watch.

use crate::store::{Database, jobs::EVENTS_CHANNEL};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Watchers look this often even when nothing is heard: NOTIFY is only a shortcut.
const POLL: Duration = Duration::from_secs(1);

/// Wakes watchers when something has happened to some job.
#[derive(Debug, Clone)]
pub struct JobFeed {
    heard: watch::Sender<u64>,
    closed: CancellationToken,
}

impl Default for JobFeed {
    fn default() -> Self {
        Self { heard: watch::Sender::new(0), closed: CancellationToken::new() }
    }
}

impl JobFeed {
    /// Listens until [`JobFeed::close`]. Without it watchers poll.
    pub async fn listen(&self, db: &Database) {
        let hear = async {
            loop {
                let Err(error) = self.listen_once(db).await;
                tracing::warn!(%error, "cannot hear of events of jobs; watchers poll");
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::select! {
            () = hear => {}
            () = self.closed.cancelled() => {}
        }
    }

    async fn listen_once(&self, db: &Database) -> Result<std::convert::Infallible, crate::store::StoreError> {
        let mut listener = db.listener().await?;
        listener.listen(EVENTS_CHANNEL).await?;
        loop {
            listener.recv().await?;
            self.heard.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Ends all watching, so that the process can stop.
    pub fn close(&self) {
        self.closed.cancel();
    }

    pub(super) fn subscribe(&self) -> Watcher {
        Watcher { heard: self.heard.subscribe(), closed: self.closed.clone() }
    }
}

/// One who watches.
#[derive(Debug)]
pub(super) struct Watcher {
    heard: watch::Receiver<u64>,
    closed: CancellationToken,
}

impl Watcher {
    /// Returns when it is time to look again; false when watching is over.
    pub(super) async fn wait(&mut self) -> bool {
        tokio::select! {
            _ = self.heard.changed() => true,
            () = tokio::time::sleep(POLL) => true,
            () = self.closed.cancelled() => false,
        }
    }
}
