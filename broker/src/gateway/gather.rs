//! Frames that are needed whole, gathered as their bytes arrive, within what all connections together
//! may hold: many clients that begin large requests and never end them must not fill the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that any frame may take: more than administration takes in most requests, and what 3 000
/// connections (product.md §1) can all hold in 200 MB.
const FREE_BYTES: usize = 64 * 1024;
/// Bytes that all frames together may take beyond that: two of the largest answers.
const SHARED_BYTES: usize = 128 * 1024 * 1024;

/// What all connections hold beyond [`FREE_BYTES`] each.
#[derive(Debug, Default)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    fn take(&self, bytes: usize) -> Result<(), OverBudget> {
        let grown = |held: usize| held.checked_add(bytes).filter(|held| *held <= SHARED_BYTES);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).map(drop).map_err(|_| OverBudget)
    }
}

/// All connections together hold too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("frames that are not whole yet take all the room there is for them")]
pub(super) struct OverBudget;

/// One frame on its way.
#[derive(Debug)]
pub(super) struct Gathering {
    bytes: Vec<u8>,
    size: usize,
    charged: usize,
    budget: Arc<Budget>,
}

impl Gathering {
    /// A frame of `size` bytes, of which none is there yet.
    pub(super) fn new(size: usize, budget: &Arc<Budget>) -> Self {
        Self { bytes: Vec::new(), size, charged: 0, budget: budget.clone() }
    }

    pub(super) fn missing(&self) -> usize {
        self.size - self.bytes.len()
    }

    /// Adds what arrived, no more than is [missing](Self::missing).
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), OverBudget> {
        let charge = (self.bytes.len() + bytes.len()).saturating_sub(FREE_BYTES) - self.charged;
        if charge > 0 {
            self.budget.take(charge)?;
            self.charged += charge;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The frame, once it is whole.
    pub(super) fn whole(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.charged, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_frames_are_free_large_ones_share_and_give_back() {
        let budget = Arc::default();
        let piece = vec![0; 4 * 1024 * 1024];
        let mut large: Vec<_> = (0..64).map(|_| Gathering::new(piece.len(), &budget)).collect();
        let refused = large.iter_mut().filter_map(|frame| frame.add(&piece).err()).count();
        assert_eq!(refused, 64 - 32, "32 of 4 MiB, less what is free, fit");
        for _ in 0..100 {
            assert_eq!(Gathering::new(FREE_BYTES, &budget).add(&piece[..FREE_BYTES]), Ok(()));
        }
        drop(large);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
        let mut frame = Gathering::new(piece.len(), &budget);
        for part in piece.chunks(100_000) {
            frame.add(part).unwrap();
        }
        assert_eq!((frame.missing(), frame.whole().len()), (0, piece.len()));
    }
}
