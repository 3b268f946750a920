//! ACL bindings: which a tenant may make, which a filter finds. The platform's own are named by [`broker_api::acl`].

use broker_api::acl::{ANY_HOST, Binding, CLUSTER_NAME, Objection};
use control_plane_api::{
    acl::{AclBinding, AclFilter, AclOperation, AclPattern, AclPatternFilter, AclResource},
    problem::FieldError,
};

/// Kafka's longest topic name is 249; ids of groups and transactions are the client's to choose.
const LONGEST_NAME: usize = 255;
/// The only kind of principal that Kafka's authorizer compares.
const USER: &str = "User:";

/// The binding in the codes of Kafka's protocol.
pub fn coded(binding: &AclBinding) -> Binding<'_> {
    Binding {
        resource: binding.resource_type.code(),
        name: &binding.resource_name,
        pattern: binding.pattern_type.code(),
        principal: &binding.principal,
        host: &binding.host,
        operation: binding.operation.code(),
        permission: binding.permission.code(),
    }
}

/// Whether tenants neither see nor remove it.
pub fn is_platform(binding: &AclBinding) -> bool {
    coded(binding).is_platform()
}

/// Operations that Kafka asks for on a resource: any other one would be kept and never looked at.
pub fn operations(resource: AclResource) -> &'static [AclOperation] {
    use AclOperation::{
        All, Alter, AlterConfigs, Create, CreateTokens, Delete, Describe, DescribeConfigs, DescribeTokens,
        IdempotentWrite, Read, TwoPhaseCommit, Write,
    };
    match resource {
        AclResource::Topic => &[All, Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs],
        AclResource::Group => &[All, Read, Delete, Describe, DescribeConfigs, AlterConfigs],
        AclResource::Cluster => {
            &[All, Create, Alter, Describe, AclOperation::ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite]
        }
        AclResource::TransactionalId => &[All, Write, Describe, TwoPhaseCommit],
        AclResource::DelegationToken => &[All, Describe],
        AclResource::User => &[All, CreateTokens, DescribeTokens],
    }
}

/// All faults of a binding that a tenant wants made. `place` is the pointer to it.
pub fn check(place: &str, binding: &AclBinding, faults: &mut Vec<FieldError>) {
    let mut fault = |field: &str, code: &str, detail: String| {
        faults.push(FieldError::new(format!("{place}/{field}"), code, detail));
    };
    let name = &binding.resource_name;
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        let detail = format!("a name is 1 to {LONGEST_NAME} characters, none of them a control character");
        fault("resource_name", "acl-resource-name", detail);
    }
    let whole_cluster = name == CLUSTER_NAME && binding.pattern_type == AclPattern::Literal;
    if binding.resource_type == AclResource::Cluster && !whole_cluster {
        let detail = format!("the one resource of the type cluster is {CLUSTER_NAME:?} with the pattern literal");
        fault("resource_name", "acl-cluster-name", detail);
    }
    if !is_principal(&binding.principal) {
        let detail = "a principal is `User:` and a name, `User:*` or `User:ANONYMOUS`: Kafka compares no other kind";
        fault("principal", "acl-principal", detail.to_owned());
    }
    let known = operations(binding.resource_type);
    if !known.contains(&binding.operation) {
        let accepted = known.iter().map(|operation| text(*operation)).collect::<Vec<_>>().join(", ");
        let detail = format!("Kafka never asks for this operation on this kind of resource; {accepted} are accepted");
        faults.push(FieldError::new(format!("{place}/operation"), "acl-operation", detail).with("accepted", accepted));
    }
    if let Some(objection) = coded(binding).objection() {
        let (field, code) = match objection {
            Objection::Platform => ("principal", "acl-platform"),
            Objection::Host => ("host", "acl-host"),
            Objection::ClusterAction => ("operation", "acl-cluster-action"),
            Objection::PlatformUser => ("resource_name", "acl-platform-user"),
        };
        faults.push(FieldError::new(format!("{place}/{field}"), code, objection.detail()));
    }
}

fn is_principal(principal: &str) -> bool {
    let name = principal.strip_prefix(USER).unwrap_or_default();
    !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control)
}

/// As JSON has it.
fn text(operation: AclOperation) -> String {
    serde_json::to_value(operation).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The principal of a user who logs in.
pub fn principal(user: &str) -> String {
    format!("{USER}{user}")
}

/// Whether the filter finds the binding, as Kafka's own filters do (KIP-290).
pub fn fits(filter: &AclFilter, binding: &AclBinding) -> bool {
    fn is<T: PartialEq>(wanted: &Option<T>, value: &T) -> bool {
        wanted.as_ref().is_none_or(|wanted| wanted == value)
    }
    is(&filter.resource_type, &binding.resource_type)
        && fits_name(filter, binding)
        && is(&filter.principal, &binding.principal)
        && is(&filter.host, &binding.host)
        && is(&filter.operation, &binding.operation)
        && is(&filter.permission, &binding.permission)
}

fn fits_name(filter: &AclFilter, binding: &AclBinding) -> bool {
    let kind = filter.pattern_type.unwrap_or_default();
    let same_kind =
        matches!(kind, AclPatternFilter::Any | AclPatternFilter::Match) || kind.code() == binding.pattern_type.code();
    let Some(name) = &filter.resource_name else { return same_kind };
    let known = &binding.resource_name;
    match (kind, binding.pattern_type) {
        (AclPatternFilter::Match, AclPattern::Prefixed) => name.starts_with(known),
        (AclPatternFilter::Match, AclPattern::Literal) => known == name || known == "*",
        _ => same_kind && known == name,
    }
}

/// Finds exactly this binding.
pub fn exactly(binding: &AclBinding) -> AclFilter {
    AclFilter {
        resource_type: Some(binding.resource_type),
        resource_name: Some(binding.resource_name.clone()),
        pattern_type: Some(match binding.pattern_type {
            AclPattern::Literal => AclPatternFilter::Literal,
            AclPattern::Prefixed => AclPatternFilter::Prefixed,
        }),
        principal: Some(binding.principal.clone()),
        host: Some(binding.host.clone()),
        operation: Some(binding.operation),
        permission: Some(binding.permission),
    }
}

/// A binding of every host that allows.
pub fn allow(
    resource_type: AclResource,
    (resource_name, pattern_type): (&str, AclPattern),
    principal: &str,
    operation: AclOperation,
) -> AclBinding {
    AclBinding {
        resource_type,
        resource_name: resource_name.to_owned(),
        pattern_type,
        principal: principal.to_owned(),
        host: ANY_HOST.to_owned(),
        operation,
        permission: control_plane_api::acl::AclPermission::Allow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_plane_api::acl::AclPermission;
    use serde_json::{Value, json};

    fn binding(changes: Value) -> AclBinding {
        let mut base = json!({ "resource_type": "topic", "resource_name": "orders", "principal": "User:shop", "operation": "read" });
        base.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(base).unwrap()
    }

    fn faults(changes: Value) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        check("/bindings/0", &binding(changes), &mut faults);
        let place = |fault: &FieldError| fault.pointer.trim_start_matches("/bindings/0/").to_owned();
        faults.iter().map(|fault| (place(fault), fault.code.clone())).collect()
    }

    #[test]
    fn what_would_be_void_or_is_the_platforms_is_refused_with_its_place() {
        assert_eq!(faults(json!({})), []);
        for (changes, field, code) in [
            (json!({ "host": "10.0.0.1" }), "host", "acl-host"),
            (json!({ "host": "10.0.0.1", "permission": "deny" }), "host", "acl-host"),
            (json!({ "principal": "Group:shop" }), "principal", "acl-principal"),
            (json!({ "principal": "shop" }), "principal", "acl-principal"),
            (json!({ "principal": "User:sluice-node" }), "principal", "acl-platform"),
            (json!({ "principal": "User:*", "resource_name": "*", "operation": "all" }), "principal", "acl-platform"),
            (
                json!({ "principal": "User:*", "resource_name": "__sluice", "pattern_type": "prefixed", "permission": "deny" }),
                "principal",
                "acl-platform",
            ),
            (json!({ "operation": "idempotent-write" }), "operation", "acl-operation"),
            (json!({ "resource_type": "group", "operation": "write" }), "operation", "acl-operation"),
            (json!({ "resource_type": "cluster", "operation": "describe" }), "resource_name", "acl-cluster-name"),
            (
                json!({ "resource_type": "cluster", "resource_name": "kafka-cluster", "operation": "cluster-action" }),
                "operation",
                "acl-cluster-action",
            ),
            (
                json!({ "resource_type": "user", "resource_name": "*", "operation": "create-tokens" }),
                "resource_name",
                "acl-platform-user",
            ),
            (json!({ "resource_name": "" }), "resource_name", "acl-resource-name"),
            (json!({ "resource_name": "a\u{0}b" }), "resource_name", "acl-resource-name"),
        ] {
            assert_eq!(faults(changes.clone()), [(field.to_owned(), code.to_owned())], "{changes}");
        }
    }

    #[test]
    fn a_filter_finds_what_kafkas_would() {
        let literal = binding(json!({}));
        let prefixed = binding(json!({ "resource_name": "or", "pattern_type": "prefixed" }));
        let any = binding(json!({ "resource_name": "*" }));
        let other = binding(json!({ "resource_name": "bills" }));
        let found = |filter: Value| {
            let filter: AclFilter = serde_json::from_value(filter).unwrap();
            [&literal, &prefixed, &any, &other].map(|binding| fits(&filter, binding))
        };
        assert_eq!(found(json!({})), [true; 4]);
        assert_eq!(found(json!({ "resource_name": "orders" })), [true, false, false, false]);
        assert_eq!(found(json!({ "resource_name": "orders", "pattern_type": "match" })), [true, true, true, false]);
        assert_eq!(found(json!({ "pattern_type": "prefixed" })), [false, true, false, false]);
        assert_eq!(found(json!({ "resource_name": "or", "pattern_type": "literal" })), [false; 4]);
        assert_eq!(found(json!({ "principal": "User:cart" })), [false; 4]);
        assert_eq!(found(json!({ "operation": "write" })), [false; 4]);
        assert_eq!(found(json!({ "permission": "deny" })), [false; 4]);
    }

    #[test]
    fn a_filter_made_of_a_binding_finds_it_alone() {
        let bindings = [
            binding(json!({})),
            binding(json!({ "pattern_type": "prefixed" })),
            binding(json!({ "permission": "deny" })),
            binding(json!({ "principal": "User:cart" })),
        ];
        for (index, one) in bindings.iter().enumerate() {
            let found = bindings.each_ref().map(|other| fits(&exactly(one), other));
            assert_eq!(found.iter().filter(|found| **found).count(), 1);
            assert!(found[index]);
        }
        assert_eq!(bindings[0].permission, AclPermission::Allow);
    }
}
