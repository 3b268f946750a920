//! How many consumer groups an instance has, and may have.

use serde::{Deserialize, Serialize};

/// Groups of every protocol, with members or with offsets only; not those of the platform.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupUse {
    /// Those that are being made right now among them.
    pub used: u64,
    /// 0 is no limit.
    pub limit: u64,
}
