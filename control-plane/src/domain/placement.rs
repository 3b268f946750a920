//! Where brokers go: spread evenly over the zones, never more than a zone has room for, always the same answer for the
//! same question. Node ids go round the zones, so that the first three (the quorum's voters) stand in different zones.

/// Processors, memory and disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    pub vcpus: u64,
    pub memory_gib: u64,
    pub storage_gb: u64,
}

impl Room {
    fn less(self, used: Self) -> Self {
        Self {
            vcpus: self.vcpus.saturating_sub(used.vcpus),
            memory_gib: self.memory_gib.saturating_sub(used.memory_gib),
            storage_gb: self.storage_gb.saturating_sub(used.storage_gb),
        }
    }

    /// How many of `each` it holds.
    fn holds(self, each: Self) -> u64 {
        [(self.vcpus, each.vcpus), (self.memory_gib, each.memory_gib), (self.storage_gb, each.storage_gb)]
            .into_iter()
            .filter_map(|(have, need)| have.checked_div(need))
            .min()
            .unwrap_or(u64::MAX)
    }
}

/// A zone and what is taken of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneCapacity {
    pub name: String,
    pub region: String,
    pub total: Room,
    pub used: Room,
}

impl ZoneCapacity {
    /// How many brokers of this size still fit.
    pub fn fits(&self, each: Room) -> u64 {
        self.total.less(self.used).holds(each)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedBroker {
    pub node_id: i32,
    pub zone: String,
}

/// Zones that lack room for their share, in name order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no room in {}", zones.join(", "))]
pub struct SoldOut {
    pub zones: Vec<String>,
}

/// Spreads `brokers` of size `each` over `zones`: zones differ by one broker at most, and where the division leaves a
/// rest, the zones with most room take one more (ties by name).
pub fn place(brokers: u32, each: Room, zones: &[&ZoneCapacity]) -> Result<Vec<PlacedBroker>, SoldOut> {
    let mut zones: Vec<(&ZoneCapacity, u64)> = zones.iter().map(|zone| (*zone, zone.fits(each))).collect();
    zones.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.name.cmp(&b.0.name)));

    let count = u32::try_from(zones.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return Err(SoldOut { zones: Vec::new() });
    }
    let (share, rest) = (brokers / count, brokers % count);
    let wanted = |at: usize| u64::from(share) + u64::from((at as u64) < u64::from(rest));
    let mut lacking: Vec<String> = zones
        .iter()
        .enumerate()
        .filter(|(at, (_, fits))| *fits < wanted(*at))
        .map(|(_, (zone, _))| zone.name.clone())
        .collect();
    if !lacking.is_empty() {
        lacking.sort_unstable();
        return Err(SoldOut { zones: lacking });
    }

    // Round by round in name order; the zones with one more come last, as a round of their own.
    let mut names: Vec<(&str, u64)> =
        zones.iter().enumerate().map(|(at, (zone, _))| (zone.name.as_str(), wanted(at))).collect();
    names.sort_unstable();
    let rounds = 0..u64::from(share) + u64::from(rest > 0);
    let in_order = rounds.flat_map(|round| names.iter().filter(move |(_, wanted)| *wanted > round));
    Ok(in_order.zip(0..).map(|((zone, _), node_id)| PlacedBroker { node_id, zone: (*zone).to_owned() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const BROKER: Room = Room { vcpus: 2, memory_gib: 4, storage_gb: 200 };

    fn zone(name: &str, brokers: u64) -> ZoneCapacity {
        let total = Room { vcpus: 2 * brokers, memory_gib: 4 * brokers, storage_gb: 200 * brokers };
        ZoneCapacity { name: name.to_owned(), region: "r".to_owned(), total, used: Room::default() }
    }

    fn zones_of(placed: &[PlacedBroker]) -> Vec<(i32, &str)> {
        placed.iter().map(|broker| (broker.node_id, broker.zone.as_str())).collect()
    }

    #[test]
    fn four_brokers_over_three_zones_put_the_fourth_where_there_is_most_room() {
        let (a, b, c) = (zone("a", 5), zone("b", 9), zone("c", 5));
        let placed = place(4, BROKER, &[&a, &b, &c]).expect("there is room");
        assert_eq!(zones_of(&placed), [(0, "a"), (1, "b"), (2, "c"), (3, "b")]);
    }

    #[test]
    fn one_zone_takes_all() {
        let a = zone("a", 3);
        assert_eq!(zones_of(&place(3, BROKER, &[&a]).expect("fits")), [(0, "a"), (1, "a"), (2, "a")]);
    }

    #[test]
    fn a_zone_without_room_is_named() {
        let (a, b, c) = (zone("a", 5), zone("b", 0), zone("c", 5));
        assert_eq!(place(3, BROKER, &[&a, &b, &c]), Err(SoldOut { zones: vec!["b".to_owned()] }));
    }

    #[test]
    fn what_is_used_is_not_room() {
        let mut a = zone("a", 3);
        a.used.memory_gib = 1;
        assert_eq!(a.fits(BROKER), 2);
    }

    proptest! {
        #[test]
        fn spread_is_even_capacity_is_kept_and_the_first_three_stand_apart(
            rooms in proptest::collection::vec(0u64..6, 1..6),
            brokers in 1u32..16,
        ) {
            let zones: Vec<ZoneCapacity> = rooms.iter().enumerate().map(|(at, room)| zone(&format!("z{at}"), *room)).collect();
            let names: Vec<&ZoneCapacity> = zones.iter().collect();
            let answer = place(brokers, BROKER, &names);
            prop_assert_eq!(&answer, &place(brokers, BROKER, &names.iter().rev().copied().collect::<Vec<_>>()), "order of zones does not matter");

            let (share, rest) = (u64::from(brokers) / rooms.len() as u64, brokers as usize % rooms.len());
            let possible = rooms.iter().all(|room| *room >= share) && rooms.iter().filter(|room| **room > share).count() >= rest;
            prop_assert_eq!(answer.is_ok(), possible);
            if let Ok(placed) = answer {
                prop_assert_eq!(placed.len(), brokers as usize);
                let mut held: BTreeMap<&str, u64> = BTreeMap::new();
                for broker in &placed {
                    *held.entry(&broker.zone).or_default() += 1;
                }
                for zone in &zones {
                    let here = held.get(zone.name.as_str()).copied().unwrap_or(0);
                    prop_assert!(here <= zone.fits(BROKER) && (here == share || here == share + 1));
                }
                let apart: std::collections::BTreeSet<&str> = placed.iter().take(3).map(|broker| broker.zone.as_str()).collect();
                prop_assert_eq!(apart.len(), 3.min(rooms.len()).min(placed.len()));
            }
        }
    }
}
