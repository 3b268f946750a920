//! Storage: what is bought, what of it holds messages, what a broker takes of its zone.

use crate::domain::placement::Room;
use control_plane_api::catalogue::Spec;

/// GB that three brokers keep back for logs and metadata (product.md §1).
const RESERVE_GB_FOR_THREE: u32 = 100;
/// Percent that formatting takes, as in C's own example: 700 GB bought, 593 GB usable (product.md §1).
const FORMATTING_LOSS_PERCENT: u64 = 1;

fn reserve_gb(brokers: u32) -> u32 {
    RESERVE_GB_FOR_THREE.saturating_mul(brokers).div_ceil(3)
}

/// GB for messages of all replicas, of `bought_gb` over all brokers; rounded down.
pub fn usable_gb(bought_gb: u32, brokers: u32) -> u32 {
    let formatted = u64::from(bought_gb) * (100 - FORMATTING_LOSS_PERCENT) / 100;
    u32::try_from(formatted).unwrap_or(u32::MAX).saturating_sub(reserve_gb(brokers))
}

/// The least GB to buy so that each broker has at least one for messages.
pub fn least_useful_gb(brokers: u32) -> u32 {
    let formatted = u64::from(reserve_gb(brokers)) + u64::from(brokers);
    u32::try_from((formatted * 100).div_ceil(100 - FORMATTING_LOSS_PERCENT)).unwrap_or(u32::MAX)
}

/// GB of disk of one broker; rounded up, so that all together hold what was bought.
pub fn broker_gb(bought_gb: u32, brokers: u32) -> u32 {
    bought_gb.div_ceil(brokers.max(1))
}

/// What one broker takes of its zone.
pub fn broker_room(spec: &Spec, bought_gb: u32) -> Room {
    Room {
        vcpus: u64::from(spec.broker_vcpus),
        memory_gib: u64::from(spec.broker_memory_gib),
        storage_gb: u64::from(broker_gb(bought_gb, spec.brokers)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seven_hundred_gb_on_three_brokers_leave_593() {
        assert_eq!(usable_gb(700, 3), 593);
    }

    #[test]
    fn storage_that_the_reserve_eats_leaves_nothing() {
        assert_eq!(usable_gb(90, 3), 0);
    }

    proptest! {
        #[test]
        fn usable_is_less_than_bought_and_never_shrinks_as_more_is_bought(gb in 0u32..1_000_000, brokers in 3u32..100) {
            prop_assert!(usable_gb(gb, brokers) <= gb);
            prop_assert!(usable_gb(gb, brokers) <= usable_gb(gb + 1, brokers));
        }

        #[test]
        fn the_least_useful_storage_leaves_a_gb_for_each_broker(brokers in 3u32..1000) {
            prop_assert!(usable_gb(least_useful_gb(brokers), brokers) >= brokers);
        }

        #[test]
        fn disks_of_all_brokers_hold_what_was_bought(gb in 1u32..1_000_000, brokers in 1u32..100) {
            let held = broker_gb(gb, brokers) * brokers;
            prop_assert!(held >= gb && held < gb + brokers);
        }
    }
}
