//! What is counted, and how each is spoken of: the two limits that are decided from a log.

use crate::gateway::filters::code;
use crate::gateway::filters::split::Refusal;
use broker_api::topics::Shortage;
use std::time::Duration;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(in crate::gateway) enum Counted {
    #[default]
    Partitions,
    /// Each is written to its log as a topic of one partition.
    Groups,
}

impl Counted {
    pub(in crate::gateway) fn plural(self) -> &'static str {
        match self {
            Self::Partitions => "partitions",
            Self::Groups => "groups",
        }
    }

    /// The topic of its log.
    pub(in crate::gateway) fn log(self) -> &'static str {
        match self {
            Self::Partitions => "__sluice_admission",
            Self::Groups => "__sluice_groups",
        }
    }

    /// How long what was made is counted, whatever Kafka shows; else until Kafka shows it.
    pub(super) fn held(self) -> Option<Duration> {
        match self {
            Self::Partitions => None,
            // Longer than its gateway lets requests pass without asking (`super::seen`), by more than clocks and pauses take.
            Self::Groups => Some(Duration::from_secs(90)),
        }
    }

    /// Whether Kafka's answer says that something was made; `None` where it may be yet
    /// (org.apache.kafka.common.protocol.Errors).
    pub(in crate::gateway) fn is_made(self, error: i16) -> Option<bool> {
        let (made, not_made): (&[i16], &[i16]) = match self {
            Self::Partitions => (&code::MADE, &code::MADE_NOTHING),
            Self::Groups => (&code::IN_A_GROUP, &code::NO_GROUP_MADE),
        };
        if made.contains(&error) { Some(true) } else { not_made.contains(&error).then_some(false) }
    }

    pub(super) fn full(self, name: &str, limit: u64, used: u64, more: u64) -> Refusal {
        let message = match self {
            Self::Partitions => format!(
                "this instance may have {limit} partitions and has {used}; topic '{name}' asks for {more} more: \
                 ask for fewer, delete topics, or change to a larger spec"
            ),
            Self::Groups => format!(
                "this instance may have {limit} consumer groups and has {used}, so group '{name}' was not made: \
                 use one that exists, delete groups, or change to a larger spec"
            ),
        };
        let shortage = Some(Shortage { limit, used, wanted: more });
        Refusal { shortage, ..Refusal::new(code::POLICY_VIOLATION, message) }
    }

    /// Nobody may have the room before it is clear whose it is.
    pub(in crate::gateway) fn undecided(self) -> Refusal {
        match self {
            Self::Partitions => Refusal::new(
                code::REQUEST_TIMED_OUT,
                "whether the instance has room for these partitions can't be told now, so nothing was made; try again",
            ),
            // What every client of groups waits for and tries again after.
            Self::Groups => Refusal::new(
                code::COORDINATOR_LOAD_IN_PROGRESS,
                "whether the instance has room for this consumer group can't be told now, so it was not made; try again",
            ),
        }
    }
}
