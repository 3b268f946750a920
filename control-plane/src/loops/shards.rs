//! Which replica runs which shard of which loop: an even share each, by leases.

use crate::store::loops::LeaseRow;
use std::collections::{BTreeMap, BTreeSet};

/// Replicas make themselves known by a lease of this name and theirs.
const REPLICA: &str = "replica/";

/// The lease by which a replica is counted.
pub(super) fn presence(owner: &str) -> String {
    format!("{REPLICA}{owner}")
}

/// What to hold and what to give back.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) hold: Vec<String>,
    pub(super) release: Vec<String>,
}

/// The share of `me`, of all `shards`, when the live leases are these.
///
/// Everybody who lives has a share that differs by one at most; who has more gives the surplus back, who has less takes
/// what is free.
pub(super) fn plan(shards: &[String], leases: &[LeaseRow], me: &str) -> Plan {
    let replicas: BTreeSet<&str> =
        leases.iter().filter_map(|lease| lease.name.strip_prefix(REPLICA)).chain([me]).collect();
    let held: BTreeMap<&str, &str> = leases.iter().map(|lease| (lease.name.as_str(), lease.owner.as_str())).collect();
    let share = shards.len().div_ceil(replicas.len());
    let (mine, rest): (Vec<&String>, Vec<&String>) =
        shards.iter().partition(|shard| held.get(shard.as_str()) == Some(&me));
    let free = rest.into_iter().filter(|shard| !held.contains_key(shard.as_str()));
    let kept = mine.iter().take(share).copied();
    Plan {
        hold: kept.chain(free).take(share).cloned().collect(),
        release: mine.iter().skip(share).map(|shard| (*shard).clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(shards: &[&str]) -> Vec<String> {
        shards.iter().map(ToString::to_string).collect()
    }

    fn lease(name: &str, owner: &str) -> LeaseRow {
        LeaseRow { name: name.to_owned(), owner: owner.to_owned() }
    }

    #[test]
    fn one_replica_takes_everything() {
        let shards = names(&["nodes/0", "nodes/1", "garbage/0"]);
        assert_eq!(plan(&shards, &[], "a"), Plan { hold: shards, release: vec![] });
    }

    #[test]
    fn who_holds_more_than_a_share_gives_the_surplus_to_the_one_who_came() {
        let shards = names(&["nodes/0", "nodes/1", "nodes/2", "nodes/3"]);
        let mut leases: Vec<LeaseRow> = shards.iter().map(|shard| lease(shard, "a")).collect();
        leases.extend([lease("replica/a", "a"), lease("replica/b", "b")]);
        assert_eq!(
            plan(&shards, &leases, "a"),
            Plan { hold: names(&["nodes/0", "nodes/1"]), release: names(&["nodes/2", "nodes/3"]) }
        );
        assert_eq!(plan(&shards, &leases, "b"), Plan::default(), "nothing is free yet");
        leases.retain(|lease| !["nodes/2", "nodes/3"].contains(&lease.name.as_str()));
        assert_eq!(plan(&shards, &leases, "b").hold, names(&["nodes/2", "nodes/3"]));
    }

    #[test]
    fn what_a_dead_replica_held_is_taken_over() {
        let shards = names(&["nodes/0", "nodes/1"]);
        let leases = [lease("nodes/0", "b"), lease("replica/b", "b")];
        assert_eq!(plan(&shards, &leases, "b").hold, names(&["nodes/0", "nodes/1"]));
    }
}
