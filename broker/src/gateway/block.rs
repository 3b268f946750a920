//! Large buffers that only busy connections hold: a thread keeps a few to hand out again.
//!
//! A connection takes a block when it looks for bytes and gives it back when none are left in it,
//! so that thousands of idle connections cost no buffers.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Bytes a block holds. 64 to 256 KiB is where a copy loop stops gaining (performance-reliability.md §1).
pub(super) const BLOCK_BYTES: usize = 128 * 1024;
/// Blocks that a thread keeps for later: 4 MiB.
const KEPT: usize = 32;

thread_local! {
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`BLOCK_BYTES`], returned to its thread's spares on drop.
#[derive(Debug)]
pub(super) struct Block(Box<[u8]>);

impl Block {
    pub(super) fn take() -> Self {
        let spare = SPARE.with(|spare| spare.borrow_mut().pop());
        Self(spare.unwrap_or_else(|| vec![0; BLOCK_BYTES].into_boxed_slice()))
    }

    /// A block that starts with `bytes`, larger than others if they are.
    pub(super) fn holding(bytes: &[u8]) -> Self {
        let mut block =
            if bytes.len() > BLOCK_BYTES { Self(vec![0; bytes.len()].into_boxed_slice()) } else { Self::take() };
        block[..bytes.len()].copy_from_slice(bytes);
        block
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let block = std::mem::take(&mut self.0);
        // Fails while the thread ends: then the block is freed with everything else.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < KEPT && block.len() == BLOCK_BYTES {
                spare.push(block);
            }
        });
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
