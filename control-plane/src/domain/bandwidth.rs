//! Bandwidth: what a spec sells, and each broker's share of it.

use control_plane_api::catalogue::Spec;

/// Bandwidth is sold in powers of ten (product.md §1).
const MB: u64 = 1_000_000;

/// The baseline in one direction, bytes a second, all brokers together.
pub fn bought(spec: &Spec) -> u64 {
    u64::from(spec.bandwidth_mb_per_s) * MB
}

/// What one broker has of it in each direction; rounded up, so that all together have what was bought.
pub fn share(spec: &Spec) -> u64 {
    bought(spec).div_ceil(u64::from(spec.brokers.max(1)))
}
