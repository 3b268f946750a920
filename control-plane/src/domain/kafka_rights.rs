//! Rights in plain words: which bindings a word stands for, and which words a user's bindings say.
//!
//! A word is a set of bindings that allow, and has itself when all of them are there. Reading, writing and deleting imply
//! seeing (Kafka's `Describe`), so that no word needs a binding for that. A producer is idempotent by the right to write
//! any topic (KIP-679). Why groups and transactional ids are named: docs/adr/0013-acls.md.

use crate::domain::acl::{allow, principal};
use control_plane_api::{
    acl::{AclBinding, AclOperation, AclPattern, AclPermission, AclResource},
    kafka_rights::{GrantKafkaRights, KafkaRights, RevokeKafkaRights, TopicRight, TopicRights},
    problem::FieldError,
};
use std::collections::{BTreeMap, BTreeSet};

/// Operations on a topic that a word stands for.
fn operations(right: TopicRight) -> &'static [AclOperation] {
    use AclOperation::{Alter, AlterConfigs, Create, Delete, DescribeConfigs, Read, Write};
    match right {
        TopicRight::Produce => &[Write],
        TopicRight::Consume => &[Read],
        TopicRight::Manage => &[Create, Delete, Alter, DescribeConfigs, AlterConfigs],
    }
}

/// `orders-*` is all names that begin so, `*` all names, anything else a name.
fn parse(words: &str) -> (&str, AclPattern) {
    match words.strip_suffix('*') {
        None | Some("") => (words, AclPattern::Literal),
        Some(prefix) => (prefix, AclPattern::Prefixed),
    }
}

/// A name as [`parse`] reads it; `None` for one that cannot be said so.
fn say(name: &str, pattern: AclPattern) -> Option<String> {
    let words = match pattern {
        AclPattern::Literal => name.to_owned(),
        AclPattern::Prefixed => format!("{name}*"),
    };
    (parse(&words) == (name, pattern)).then_some(words)
}

/// The bindings of a grant; or all its faults.
pub fn granted(user: &str, grant: &GrantKafkaRights) -> Result<BTreeSet<AclBinding>, Vec<FieldError>> {
    let mut faults = Vec::new();
    if grant.topic.is_some() && grant.rights.is_empty() {
        let detail = "a topic needs at least one of produce, consume and manage";
        faults.push(FieldError::new("/rights", "rights-missing", detail));
    }
    if grant.rights.contains(&TopicRight::Consume) && grant.group.is_none() {
        let detail = "consume needs a group: consumers join one; name it, or its beginning and `*`";
        faults.push(FieldError::new("/group", "group-missing", detail));
    }
    let wanted = Wanted {
        topic: grant.topic.as_deref(),
        rights: &grant.rights,
        group: grant.group.as_deref(),
        transactional_id: grant.transactional_id.as_deref(),
    };
    wanted.bindings(user, ["/topic", "/group", "/transactional_id"], faults)
}

/// The bindings that a revocation takes; or all its faults. `All` is decided by who knows what there is.
pub fn revoked(user: &str, revoke: &RevokeKafkaRights) -> Result<BTreeSet<AclBinding>, Vec<FieldError>> {
    let mut faults = Vec::new();
    let mut rights = Vec::new();
    for word in revoke.rights.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match TopicRight::ALL.into_iter().find(|right| right.as_str() == word) {
            Some(right) => rights.push(right),
            None => {
                let accepted = "produce, consume, manage";
                let detail = format!("{accepted} are accepted");
                faults.push(FieldError::new("rights", "unknown-value", detail).with("accepted", accepted));
            }
        }
    }
    // Of a topic alone, everything.
    if revoke.topic.is_some() && revoke.rights.is_none() {
        rights = TopicRight::ALL.into();
    }
    let wanted = Wanted {
        topic: revoke.topic.as_deref(),
        rights: &rights,
        group: revoke.group.as_deref(),
        transactional_id: revoke.transactional_id.as_deref(),
    };
    wanted.bindings(user, ["topic", "group", "transactional_id"], faults)
}

/// What grants and revocations have in common.
struct Wanted<'a> {
    topic: Option<&'a str>,
    rights: &'a [TopicRight],
    group: Option<&'a str>,
    transactional_id: Option<&'a str>,
}

impl Wanted<'_> {
    /// `places`: of topic, group and transactional id.
    fn bindings(
        &self,
        user: &str,
        [topic_at, group_at, transactional_id_at]: [&str; 3],
        mut faults: Vec<FieldError>,
    ) -> Result<BTreeSet<AclBinding>, Vec<FieldError>> {
        if self.topic.is_none() && !self.rights.is_empty() {
            let detail = "rights are on a topic: name it, or its beginning and `*`";
            faults.push(FieldError::new(topic_at, "topic-missing", detail));
        }
        if self.topic.is_none() && self.group.is_none() && self.transactional_id.is_none() && self.rights.is_empty() {
            let detail = "name a topic, a group or a transactional id";
            faults.push(FieldError::new(topic_at, "topic-missing", detail));
        }
        let principal = principal(user);
        let topics = self.rights.iter().flat_map(|right| operations(*right));
        let wanted = self
            .topic
            .into_iter()
            .flat_map(|topic| topics.clone().map(move |operation| (topic_at, AclResource::Topic, topic, *operation)))
            .chain(self.group.map(|group| (group_at, AclResource::Group, group, AclOperation::Read)))
            .chain(
                self.transactional_id
                    .map(|id| (transactional_id_at, AclResource::TransactionalId, id, AclOperation::Write)),
            );
        let mut bindings = BTreeSet::new();
        for (place, resource, words, operation) in wanted {
            let binding = allow(resource, parse(words), &principal, operation);
            let mut of_binding = Vec::new();
            super::acl::check("", &binding, &mut of_binding);
            // Its one name is the only thing that can be wrong, and wrong once.
            if !of_binding.is_empty() && faults.iter().all(|fault| fault.pointer != place) {
                faults.extend(of_binding.into_iter().map(|fault| FieldError { pointer: place.to_owned(), ..fault }));
            }
            bindings.insert(binding);
        }
        if faults.is_empty() { Ok(bindings) } else { Err(faults) }
    }
}

/// What the user's bindings say. `bindings` may be of anybody.
pub fn said(user: &str, bindings: &[AclBinding], in_force: bool) -> KafkaRights {
    let principal = principal(user);
    let mut rights = KafkaRights {
        user: user.to_owned(),
        topics: Vec::new(),
        groups: Vec::new(),
        transactional_ids: Vec::new(),
        other: Vec::new(),
        in_force,
    };
    let mut topics: BTreeMap<String, Vec<&AclBinding>> = BTreeMap::new();
    for binding in bindings.iter().filter(|binding| binding.principal == principal) {
        let words = say(&binding.resource_name, binding.pattern_type);
        let sayable = words.filter(|_| binding.permission == AclPermission::Allow && binding.host == "*");
        match (binding.resource_type, binding.operation, sayable) {
            (AclResource::Topic, _, Some(words)) => topics.entry(words).or_default().push(binding),
            (AclResource::Group, AclOperation::Read, Some(words)) => rights.groups.push(words),
            (AclResource::TransactionalId, AclOperation::Write, Some(words)) => rights.transactional_ids.push(words),
            _ => rights.other.push(binding.clone()),
        }
    }
    for (topic, bindings) in topics {
        let has = |operation: &AclOperation| bindings.iter().any(|binding| binding.operation == *operation);
        let words: Vec<TopicRight> =
            TopicRight::ALL.into_iter().filter(|right| operations(*right).iter().all(has)).collect();
        let said = |binding: &&AclBinding| words.iter().any(|right| operations(*right).contains(&binding.operation));
        rights.other.extend(bindings.iter().filter(|binding| !said(binding)).map(|binding| (*binding).clone()));
        if !words.is_empty() {
            rights.topics.push(TopicRights { topic, rights: words });
        }
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(topic: &str, rights: &[TopicRight]) -> GrantKafkaRights {
        GrantKafkaRights { topic: Some(topic.into()), rights: rights.into(), ..GrantKafkaRights::default() }
    }

    fn all_of(grants: &[GrantKafkaRights]) -> Vec<AclBinding> {
        grants.iter().flat_map(|grant| granted("shop", grant).unwrap()).collect()
    }

    #[test]
    fn what_was_granted_is_said_in_the_same_words() {
        use TopicRight::{Consume, Manage, Produce};
        let bindings = all_of(&[
            GrantKafkaRights {
                group: Some("shop-*".into()),
                transactional_id: Some("tx".into()),
                ..grant("orders-*", &[Produce, Consume])
            },
            grant("orders", &[Manage]),
            grant("*", &[Produce]),
        ]);
        let said = said("shop", &bindings, true);
        let topics: Vec<_> = said.topics.iter().map(|one| (one.topic.as_str(), one.rights.as_slice())).collect();
        assert_eq!(topics, [("*", &[Produce][..]), ("orders", &[Manage][..]), ("orders-*", &[Produce, Consume][..])]);
        assert_eq!((said.groups, said.transactional_ids), (vec!["shop-*".to_owned()], vec!["tx".to_owned()]));
        assert_eq!(said.other, []);
    }

    #[test]
    fn half_a_word_a_denial_and_what_others_have_are_no_words() {
        let whole = all_of(&[grant("orders", &[TopicRight::Manage])]);
        let half = &whole[1..];
        let said_of = said("shop", half, true);
        assert_eq!((said_of.topics.len(), said_of.other.len()), (0, 4));
        let denial = AclBinding { permission: AclPermission::Deny, ..whole[0].clone() };
        let others = AclBinding { principal: "User:cart".into(), ..whole[0].clone() };
        let said_of = said("shop", &[denial.clone(), others], true);
        assert_eq!((said_of.topics.len(), said_of.other), (0, vec![denial]));
    }

    #[test]
    fn a_name_that_words_cannot_say_is_shown_as_it_is() {
        let literal = AclBinding {
            resource_name: "odd*".into(),
            ..allow(AclResource::Group, ("x", AclPattern::Literal), "User:shop", AclOperation::Read)
        };
        let said = said("shop", std::slice::from_ref(&literal), true);
        assert_eq!((said.groups.len(), said.other), (0, vec![literal]));
    }

    #[test]
    fn a_revocation_takes_what_the_same_words_granted() {
        use TopicRight::{Consume, Produce};
        let given = GrantKafkaRights { group: Some("shop-*".into()), ..grant("orders-*", &[Produce, Consume]) };
        let taken = RevokeKafkaRights {
            topic: Some("orders-*".into()),
            rights: Some("produce, consume".into()),
            group: Some("shop-*".into()),
            ..RevokeKafkaRights::default()
        };
        assert_eq!(revoked("shop", &taken).unwrap(), granted("shop", &given).unwrap());
        let whole = RevokeKafkaRights { rights: None, group: None, ..taken };
        assert_eq!(revoked("shop", &whole).unwrap().len(), 7, "of a topic alone, everything");
    }

    #[test]
    fn every_fault_of_a_grant_is_told_with_its_place() {
        let faults = |grant: GrantKafkaRights| -> Vec<(String, String)> {
            granted("shop", &grant).unwrap_err().into_iter().map(|fault| (fault.pointer, fault.code)).collect()
        };
        let told = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
        };
        assert_eq!(faults(GrantKafkaRights::default()), told(&[("/topic", "topic-missing")]));
        assert_eq!(faults(grant("orders", &[])), told(&[("/rights", "rights-missing")]));
        assert_eq!(faults(grant("orders", &[TopicRight::Consume])), told(&[("/group", "group-missing")]));
        assert_eq!(faults(grant("", &[TopicRight::Produce])), told(&[("/topic", "acl-resource-name")]));
        assert_eq!(faults(grant("a\u{0}", &[TopicRight::Manage])), told(&[("/topic", "acl-resource-name")]));
        let no_topic = GrantKafkaRights { rights: vec![TopicRight::Produce], ..GrantKafkaRights::default() };
        assert_eq!(faults(no_topic), told(&[("/topic", "topic-missing")]));
        let word = RevokeKafkaRights {
            topic: Some("orders".into()),
            rights: Some("own".into()),
            ..RevokeKafkaRights::default()
        };
        assert_eq!(revoked("shop", &word).unwrap_err()[0].code, "unknown-value");
    }
}
