//! The platform's own ACL bindings, as data.
//!
//! The authorizer is on for an instance's life and refuses what no binding allows; "open" is a set of bindings that the
//! platform owns, so turning ACLs on or off never restarts a broker (kafka.md finding 3). Which bindings are the
//! platform's, and so hidden from tenants, says [`broker_api::acl`]; these must be among them.

use broker_api::acl::{ANONYMOUS, ANY_HOST, CLUSTER_NAME, EVERYBODY, INTERNAL_TOPICS, PLATFORM_TOPICS};
use control_plane_api::{
    access::Access,
    acl::{AclBinding, AclOperation, AclPattern, AclPermission, AclResource},
};
use std::collections::BTreeSet;

/// Bindings of the platform that an instance is to have, and those that it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformBindings {
    /// Denials first, so that no instant is open without them.
    pub present: Vec<AclBinding>,
    pub absent: Vec<AclBinding>,
}

/// What the access asks for.
pub fn platform_bindings(access: &Access) -> PlatformBindings {
    let mut present = protective_bindings();
    let mut absent = Vec::new();
    // Everybody includes those without a login.
    let anonymous_only = access.is_open_to_anonymous() && !access.is_open_to_users();
    for (principal, is_open) in [(EVERYBODY, access.is_open_to_users()), (ANONYMOUS, anonymous_only)] {
        if is_open { &mut present } else { &mut absent }.extend(open_bindings(principal));
    }
    PlatformBindings { present, absent }
}

/// What somebody may do while ACLs are not asked. Of the cluster never more than looking and idempotent writes: not Alter,
/// AlterConfigs, ClusterAction, and not Create either. Topics are created by the right on Topic `*`; Create on the
/// cluster would be asked first and pass over the denials below.
fn open_bindings(principal: &str) -> Vec<AclBinding> {
    use AclOperation::{All, Describe, DescribeConfigs, IdempotentWrite};
    use AclResource::{Cluster, Group, Topic, TransactionalId};
    let allow = |resource, name, operation| binding(AclPermission::Allow, principal, (resource, name), operation);
    let data = [Topic, Group, TransactionalId].map(|resource| allow(resource, "*", All));
    let cluster = [Describe, DescribeConfigs, IdempotentWrite].map(|operation| allow(Cluster, CLUSTER_NAME, operation));
    data.into_iter().chain(cluster).collect()
}

/// What nobody but super users may ever do, in either mode.
fn protective_bindings() -> Vec<AclBinding> {
    use AclOperation::{All, Alter, AlterConfigs, Create, Delete, Write};
    let deny = |topic, operation| binding(AclPermission::Deny, EVERYBODY, (AclResource::Topic, topic), operation);
    let internal = INTERNAL_TOPICS
        .into_iter()
        .flat_map(|topic| [Write, Delete, Alter, AlterConfigs, Create].map(|operation| deny(topic, operation)));
    let platform = AclBinding { pattern_type: AclPattern::Prefixed, ..deny(PLATFORM_TOPICS, All) };
    internal.chain([platform]).collect()
}

fn binding(
    permission: AclPermission,
    principal: &str,
    (resource_type, name): (AclResource, &str),
    operation: AclOperation,
) -> AclBinding {
    AclBinding {
        resource_type,
        resource_name: name.to_owned(),
        pattern_type: AclPattern::Literal,
        principal: principal.to_owned(),
        host: ANY_HOST.to_owned(),
        operation,
        permission,
    }
}

/// Bindings that are still missing, or still there. Empty when a broker knows all of a change.
pub(super) fn unsettled<'a>(
    seen: &BTreeSet<AclBinding>,
    present: &'a [AclBinding],
    absent: &'a [AclBinding],
) -> impl Iterator<Item = &'a AclBinding> {
    let missing: Vec<_> = present.iter().filter(|binding| !seen.contains(binding)).collect();
    let left: Vec<_> = absent.iter().filter(|binding| seen.contains(binding)).collect();
    missing.into_iter().chain(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::acl::is_platform;
    use control_plane_api::access::Authorization::{Acl, Open};

    fn bindings(authorization: control_plane_api::access::Authorization) -> PlatformBindings {
        platform_bindings(&Access { authorization, ..Access::default() })
    }

    #[test]
    fn open_gives_everybody_their_data_and_nothing_of_the_cluster_that_could_ruin_it() {
        let allowed: Vec<_> =
            bindings(Open).present.into_iter().filter(|b| b.permission == AclPermission::Allow).collect();
        assert!(allowed.iter().all(|b| b.principal == "User:*"));
        let of_cluster: Vec<AclOperation> =
            allowed.iter().filter(|b| b.resource_type == AclResource::Cluster).map(|b| b.operation).collect();
        use AclOperation::{Describe, DescribeConfigs, IdempotentWrite};
        assert_eq!(of_cluster, [Describe, DescribeConfigs, IdempotentWrite]);
        let data: Vec<AclResource> =
            allowed.iter().filter(|b| b.operation == AclOperation::All).map(|b| b.resource_type).collect();
        assert_eq!(data, [AclResource::Topic, AclResource::Group, AclResource::TransactionalId]);
    }

    #[test]
    fn in_either_mode_kafkas_own_topics_can_be_read_but_not_harmed_and_the_platforms_are_out_of_reach() {
        for mode in [Open, Acl] {
            let denied: Vec<_> =
                bindings(mode).present.into_iter().filter(|b| b.permission == AclPermission::Deny).collect();
            assert!(denied.iter().all(|b| b.principal == "User:*"));
            for topic in ["__consumer_offsets", "__transaction_state", "__share_group_state"] {
                let denied: Vec<AclOperation> =
                    denied.iter().filter(|b| b.resource_name == topic).map(|b| b.operation).collect();
                use AclOperation::{Alter, AlterConfigs, Create, Delete, Write};
                assert_eq!(denied, [Write, Delete, Alter, AlterConfigs, Create], "{topic}");
            }
            let platform = denied.last().unwrap();
            assert_eq!((platform.resource_name.as_str(), platform.operation), ("__sluice", AclOperation::All));
            assert_eq!(platform.pattern_type, AclPattern::Prefixed);
        }
    }

    #[test]
    fn with_acls_on_nobody_is_allowed_anything_unless_clients_without_a_login_were_left_in() {
        let allowed = |bindings: &[AclBinding]| -> BTreeSet<String> {
            let allows = bindings.iter().filter(|b| b.permission == AclPermission::Allow);
            allows.map(|b| b.principal.clone()).collect()
        };
        let closed = bindings(Acl);
        assert_eq!(allowed(&closed.present), BTreeSet::new());
        assert_eq!(allowed(&closed.absent), BTreeSet::from(["User:*".to_owned(), "User:ANONYMOUS".to_owned()]));
        let half = platform_bindings(&Access { authorization: Acl, anonymous: Open, ..Access::default() });
        assert_eq!(allowed(&half.present), BTreeSet::from(["User:ANONYMOUS".to_owned()]));
        assert_eq!(allowed(&half.absent), BTreeSet::from(["User:*".to_owned()]));
    }

    #[test]
    fn every_one_of_them_is_hidden_from_tenants() {
        for mode in [Open, Acl] {
            for anonymous in [Open, Acl] {
                let access = Access { authorization: mode, anonymous, ..Access::default() };
                let PlatformBindings { present, absent } = platform_bindings(&access);
                assert!(present.iter().chain(&absent).all(is_platform));
            }
        }
    }
}
