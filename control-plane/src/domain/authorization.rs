//! Who loses what when ACLs are turned on: what whoever turns them on is told before.

use crate::domain::{acl::principal, kafka_rights, plan};
use broker_api::acl::{ANONYMOUS, EVERYBODY};
use control_plane_api::{
    access::Access,
    acl::{AclBinding, AclPermission},
    instance::Check,
    kafka_rights::KafkaRights,
};
use std::collections::BTreeMap;

/// Kafka's name for who comes in without a login.
const NOBODY: &str = "ANONYMOUS";
/// Most users that are told one by one.
const TOLD: usize = 20;

/// What is known of an instance's users now.
#[derive(Debug, Clone, Default)]
pub struct Present<'a> {
    /// Users that may log in.
    pub users: &'a [String],
    /// The tenant's bindings.
    pub bindings: &'a [AclBinding],
    /// Open connections by user, `ANONYMOUS` among them. Also of users that are in no list.
    pub connections: BTreeMap<String, u64>,
}

/// Whether the change takes rights away from users, or from clients without a login.
pub fn takes(from: &Access, to: &Access) -> bool {
    (from.is_open_to_users() && !to.is_open_to_users()) || (from.is_open_to_anonymous() && !to.is_open_to_anonymous())
}

/// Who loses what, and who keeps what.
pub fn losses(from: &Access, to: &Access, present: &Present<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    if from.is_open_to_users() && !to.is_open_to_users() {
        user_losses(present, &mut checks);
    }
    if from.is_open_to_anonymous() && !to.is_open_to_anonymous() {
        let open = present.connections.get(NOBODY).copied().unwrap_or_default();
        let detail = match allowed(present.bindings, ANONYMOUS) {
            0 => "clients without a login (9092) may do nothing more".to_owned(),
            count => format!("clients without a login (9092) keep what {count} bindings allow them"),
        };
        checks.push(plan::warning("anonymous-lose", format!("{detail}; {} now", connections(open))));
    }
    checks
}

fn user_losses(present: &Present<'_>, checks: &mut Vec<Check>) {
    let connected = present.connections.keys().filter(|user| *user != NOBODY);
    let mut users: Vec<&String> = present.users.iter().chain(connected).collect();
    users.sort_unstable();
    users.dedup();
    let (keep, lose): (Vec<&String>, Vec<&String>) = users
        .into_iter()
        .partition(|user| allowed(present.bindings, &principal(user)) + allowed(present.bindings, EVERYBODY) > 0);
    let open = |user: &String| connections(present.connections.get(user).copied().unwrap_or_default());
    for user in lose.iter().take(TOLD) {
        let detail = format!("{user} has no rights of its own and may do nothing more; {} now", open(user));
        checks.push(plan::warning("user-loses-all", detail));
    }
    if lose.len() > TOLD {
        let detail = format!("{} more users have no rights of their own and may do nothing more", lose.len() - TOLD);
        checks.push(plan::warning("user-loses-all", detail));
    }
    for user in keep.iter().take(TOLD) {
        let rights = in_words(&kafka_rights::said(user, present.bindings, true));
        checks.push(plan::ok("user-keeps", format!("{user} keeps {rights}; {} now", open(user))));
    }
    if keep.len() > TOLD {
        checks.push(plan::ok("user-keeps", format!("{} more users keep what their rights say", keep.len() - TOLD)));
    }
}

fn allowed(bindings: &[AclBinding], principal: &str) -> usize {
    let allows = |b: &&AclBinding| b.permission == AclPermission::Allow && b.principal == principal;
    bindings.iter().filter(allows).count()
}

fn connections(count: u64) -> String {
    match count {
        0 => "not connected".to_owned(),
        1 => "1 connection is open".to_owned(),
        count => format!("{count} connections are open"),
    }
}

fn in_words(rights: &KafkaRights) -> String {
    let topics = rights.topics.iter().map(|one| {
        let words: Vec<&str> = one.rights.iter().map(|right| right.as_str()).collect();
        format!("{} on {}", words.join(", "), one.topic)
    });
    let groups = rights.groups.iter().map(|group| format!("group {group}"));
    let mut words: Vec<String> = topics.chain(groups).collect();
    if !rights.other.is_empty() {
        words.push(format!("what {} other bindings say", rights.other.len()));
    }
    if words.is_empty() { "what everybody is allowed".to_owned() } else { words.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_plane_api::{
        access::Authorization,
        kafka_rights::{GrantKafkaRights, TopicRight},
    };

    fn access(authorization: Authorization, anonymous: Authorization) -> Access {
        Access { authorization, anonymous, ..Access::default() }
    }

    fn codes(from: &Access, to: &Access, present: &Present<'_>) -> Vec<String> {
        losses(from, to, present).into_iter().map(|check| check.code).collect()
    }

    #[test]
    fn turning_acls_on_names_who_loses_all_who_keeps_what_and_who_is_connected() {
        use Authorization::{Acl, Open};
        let grant = GrantKafkaRights {
            topic: Some("orders-*".into()),
            rights: vec![TopicRight::Produce],
            ..GrantKafkaRights::default()
        };
        let bindings: Vec<AclBinding> = kafka_rights::granted("shop", &grant).unwrap().into_iter().collect();
        let users = ["cart".to_owned(), "shop".to_owned()];
        let connections = [("ANONYMOUS", 3), ("cart", 1), ("made-by-kafka", 2)];
        let present = Present {
            users: &users,
            bindings: &bindings,
            connections: connections.map(|(user, count)| (user.to_owned(), count)).into(),
        };
        let (open, acl) = (access(Open, Acl), access(Acl, Acl));
        let told = losses(&open, &acl, &present);
        let told: Vec<_> = told.iter().map(|check| (check.code.as_str(), check.detail.as_str())).collect();
        assert_eq!(
            told,
            [
                ("user-loses-all", "cart has no rights of its own and may do nothing more; 1 connection is open now"),
                (
                    "user-loses-all",
                    "made-by-kafka has no rights of its own and may do nothing more; 2 connections are open now"
                ),
                ("user-keeps", "shop keeps produce on orders-*; not connected now"),
                ("anonymous-lose", "clients without a login (9092) may do nothing more; 3 connections are open now"),
            ]
        );
        assert!(!codes(&open, &access(Acl, Open), &present).contains(&"anonymous-lose".to_owned()));
        assert_eq!(codes(&access(Acl, Open), &acl, &present), ["anonymous-lose"]);
    }

    #[test]
    fn only_a_change_that_takes_rights_away_needs_to_know_who_has_them() {
        use Authorization::{Acl, Open};
        let (open, both, acl) = (access(Open, Acl), access(Acl, Open), access(Acl, Acl));
        for (from, to, takes_away) in [
            (&open, &acl, true),
            (&open, &both, true),
            (&both, &acl, true),
            (&acl, &both, false),
            (&acl, &open, false),
            (&open, &access(Open, Open), false),
        ] {
            assert_eq!(takes(from, to), takes_away, "{from:?} → {to:?}");
        }
    }
}
