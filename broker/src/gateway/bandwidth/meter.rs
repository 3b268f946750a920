//! A connection's part in a bucket: what it has paid for, and its pause until the next bytes.

use super::Bucket;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use tokio::time::{Instant, Sleep, sleep_until};

/// With less than this left the next grant is paid for: whoever walks a message wants a name of 249 bytes at once.
const ENOUGH: u64 = 512;

#[derive(Debug)]
pub(in crate::gateway) struct Meter {
    bucket: Arc<Bucket>,
    /// Bytes that may pass now.
    credit: u64,
    /// Bytes that may pass after the pause.
    coming: u64,
    /// When it asked for them.
    asked_at: Option<Instant>,
    /// Made at the first pause: most connections never have one.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Meter {
    pub(in crate::gateway) fn new(bucket: Arc<Bucket>) -> Self {
        Self { bucket, credit: 0, coming: 0, asked_at: None, pause: None }
    }

    /// How many bytes may pass now. With 0 the task is woken when it is this connection's turn. To be asked only while
    /// there are bytes that wait to pass: a turn is paid for.
    pub(in crate::gateway) fn poll_credit(&mut self, cx: &mut Context<'_>) -> usize {
        if self.credit < ENOUGH {
            if self.coming == 0 {
                self.ask();
            }
            if let Some(asked_at) = self.asked_at {
                if self.pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_pending()) {
                    return 0;
                }
                self.bucket.note_pause(asked_at.elapsed(), self.coming);
                self.asked_at = None;
            }
            self.credit += std::mem::take(&mut self.coming);
        }
        usize::try_from(self.credit).unwrap_or(usize::MAX)
    }

    /// Pays for up to `most` bytes, as far as there is credit, and tells for how many.
    pub(in crate::gateway) fn pay(&mut self, cx: &mut Context<'_>, most: usize) -> usize {
        let paid = most.min(self.poll_credit(cx));
        self.spend(paid);
        paid
    }

    /// So many bytes passed, no more than was told.
    pub(in crate::gateway) fn spend(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_sub(bytes as u64);
    }

    fn ask(&mut self) {
        let now = Instant::now();
        let grant = self.bucket.grant(now);
        self.coming = grant.bytes;
        let Some(from) = grant.from else { return };
        self.asked_at = Some(now);
        match &mut self.pause {
            Some(pause) => pause.as_mut().reset(from),
            None => self.pause = Some(Box::pin(sleep_until(from))),
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bucket.give_back(self.credit + self.coming);
    }
}
