//! Rights, and the one table that says which role has which.

use crate::domain::actor::Forbidden;
use control_plane_api::tenancy::Role;
use std::{collections::BTreeSet, fmt, str::FromStr};

macro_rules! rights {
    ($($(#[$doc:meta])* $name:ident = $text:literal: $($role:ident)*;)*) => {
        /// What a role may include. The text is what problems, API-key scopes and the documentation name it by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Right {$($(#[$doc])* $name,)*}

        impl Right {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            pub fn as_str(self) -> &'static str {
                match self {$(Self::$name => $text,)*}
            }

            fn roles(self) -> &'static [Role] {
                match self {$(Self::$name => &[$(Role::$role),*],)*}
            }
        }
    };
}

// An owner has every right; the others are listed. Reading, writing and deleting messages are three rights (api.md §1):
// who operates an instance need not see what flows through it.
rights! {
    ProjectRead = "project-read": Admin Operator Developer Viewer Auditor Billing;
    ProjectCreate = "project-create": Admin;
    ProjectUpdate = "project-update": Admin;
    ProjectDelete = "project-delete": Admin;
    MemberRead = "member-read": Admin Operator Viewer Auditor;
    MemberWrite = "member-write": Admin;
    ServiceAccountRead = "service-account-read": Admin Operator Viewer Auditor;
    ServiceAccountWrite = "service-account-write": Admin;
    QuotaRead = "quota-read": Admin Operator Developer Viewer Auditor Billing;
    AuditRead = "audit-read": Admin Auditor;
    BillingRead = "billing-read": Admin Auditor Billing;
    /// Ask for prices.
    QuoteCreate = "quote-create": Admin Operator Developer Viewer Billing;
    InstanceRead = "instance-read": Admin Operator Developer Viewer Auditor Billing;
    /// Buy.
    InstanceCreate = "instance-create": Admin Operator;
    /// Change what an instance is and does, restart it.
    InstanceUpdate = "instance-update": Admin Operator;
    InstanceDelete = "instance-delete": Admin;
    KafkaUserRead = "kafka-user-read": Admin Operator Developer Viewer Auditor;
    /// Make, disable and delete Kafka users, give them passwords and rights.
    KafkaUserWrite = "kafka-user-write": Admin Operator;
    TopicRead = "topic-read": Admin Operator Developer Viewer Auditor;
    /// Make topics and add partitions.
    TopicWrite = "topic-write": Admin Operator Developer;
    /// Delete topics, and the messages in them.
    TopicDelete = "topic-delete": Admin Operator;
    /// Addresses, trust stores, ready code.
    ConnectionRead = "connection-read": Admin Operator Developer Viewer;
    JobRead = "job-read": Admin Operator Developer Viewer Auditor;
    /// Cancel and retry jobs, remove ended ones.
    JobWrite = "job-write": Admin Operator;
    MessageRead = "message-read": Admin Developer;
    MessageWrite = "message-write": Admin Developer;
    MessageDelete = "message-delete": Admin;
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text names no right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a right")]
pub struct UnknownRight;

impl FromStr for Right {
    type Err = UnknownRight;

    fn from_str(text: &str) -> Result<Self, UnknownRight> {
        Self::ALL.iter().copied().find(|right| right.as_str() == text).ok_or(UnknownRight)
    }
}

/// All rights of a role.
pub fn rights_of(role: Role) -> BTreeSet<Right> {
    Right::ALL.iter().copied().filter(|right| role == Role::Owner || right.roles().contains(&role)).collect()
}

/// Whether somebody with the rights `granter` may give, change or take `role`: nobody reaches beyond what they have.
pub fn may_grant(granter: &BTreeSet<Right>, role: Role) -> Result<(), Forbidden> {
    match rights_of(role).into_iter().find(|right| !granter.contains(right)) {
        Some(right) => Err(Forbidden { right }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_reads_back_as_it_is_written() {
        for right in Right::ALL {
            assert_eq!(right.as_str().parse(), Ok(*right));
        }
        assert_eq!("root".parse::<Right>(), Err(UnknownRight));
    }

    #[test]
    fn an_operator_runs_instances_but_sees_no_messages() {
        let rights = rights_of(Role::Operator);
        assert!(rights.contains(&Right::InstanceCreate));
        for hidden in [Right::MessageRead, Right::MessageWrite, Right::MessageDelete, Right::MemberWrite] {
            assert!(!rights.contains(&hidden), "{hidden}");
        }
    }

    #[test]
    fn an_auditor_changes_nothing() {
        assert!(rights_of(Role::Auditor).iter().all(|right| right.as_str().ends_with("-read")));
    }

    #[test]
    fn nobody_grants_more_than_they_have() {
        let operator = rights_of(Role::Operator);
        assert_eq!(may_grant(&operator, Role::Operator), Ok(()));
        assert!(may_grant(&operator, Role::Admin).is_err());
        assert_eq!(may_grant(&rights_of(Role::Owner), Role::Owner), Ok(()));
    }
}
