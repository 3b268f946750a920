//! Access control lists: the platform's own bindings are hidden and can't be made, changed or
//! removed by tenants. Which those are, and what else nobody may bind, says [`broker_api::acl`].

use super::split::{self, Refusal, Shape};
use super::{Decision, Format, Scope, code};
use crate::gateway::wire::{Reader, Wire, Writer};
use broker_api::acl::pattern::{LITERAL, MATCH, PREFIXED};
use broker_api::acl::resource::TOPIC;
use broker_api::acl::{
    ANY, Binding, Objection, PLATFORM_TOPICS, is_platform_principal, is_tenant_topic, platform_bindings,
};

/// Why a tenant may not make this binding.
fn refusal(binding: &Binding<'_>) -> Option<Refusal> {
    let objection = binding.objection()?;
    let code = match objection {
        Objection::Host => code::INVALID_REQUEST,
        Objection::Platform | Objection::ClusterAction | Objection::PlatformUser => code::POLICY_VIOLATION,
    };
    Some(Refusal::new(code, objection.detail()))
}

/// Why nobody may create this topic. Kafka does not ask for rights on a topic's name when there is the
/// right to create on the cluster, so a binding that denies it is not enough; and an internal topic
/// that a client made would have that client's number of partitions for ever.
pub(in crate::gateway) fn creation_refusal(topic: &str) -> Option<Refusal> {
    (!is_counted(topic)).then(|| {
        Refusal::new(
            code::TOPIC_AUTHORIZATION_FAILED,
            "internal topics belong to Kafka and the platform, which make them",
        )
    })
}

/// Whether a topic's partitions count for what the instance was sold: the tenant's do, whatever their names, and those of
/// Kafka and the platform don't.
pub(in crate::gateway) fn is_counted(topic: &str) -> bool {
    is_tenant_topic(topic)
}

fn read_binding<'a>(r: &mut Reader<'a>, format: Format) -> Wire<Binding<'a>> {
    let (resource, name) = (r.i8()?, r.string()?);
    let pattern = if format.version >= 1 { r.i8()? } else { LITERAL };
    let binding = Binding {
        resource,
        name,
        pattern,
        principal: r.string()?,
        host: r.string()?,
        operation: r.i8()?,
        permission: r.i8()?,
    };
    r.tags()?;
    Ok(binding)
}

pub(in crate::gateway) fn create(_: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    let mut r = Reader::new(body, format.flexible);
    let (mut items, mut results) = (Vec::new(), Vec::new());
    for _ in 0..split::items(&mut r)? {
        let start = r.position();
        let refusal = refusal(&read_binding(&mut r, format)?);
        items.push(r.since(start));
        results.push(refusal.map(|refusal| {
            let mut w = Writer::new(format.flexible);
            refusal.put(&mut w);
            w.tags();
            w.bytes
        }));
    }
    let rest_at = r.position();
    let shape = Shape { format, head: split::throttle, good_head: split::no_throttle, positional: Some(skip_created) };
    let kept = results.clone();
    Ok(split::decide(shape, results, || split::without_refused(format, body, 0, &items, &kept, rest_at)))
}

fn skip_created(r: &mut Reader<'_>, _: Format) -> Wire<()> {
    r.i16()?;
    r.nullable_string()?;
    r.tags()
}

/// What DescribeAcls and DeleteAcls look for; `None`, or [`ANY`], is anything.
#[derive(Debug, Clone, Copy)]
struct Filter<'a> {
    resource: i8,
    name: Option<&'a str>,
    pattern: i8,
    principal: Option<&'a str>,
    host: Option<&'a str>,
    operation: i8,
    permission: i8,
}

fn read_filter<'a>(r: &mut Reader<'a>, format: Format) -> Wire<Filter<'a>> {
    let (resource, name) = (r.i8()?, r.nullable_string()?);
    let pattern = if format.version >= 1 { r.i8()? } else { LITERAL };
    let filter = Filter {
        resource,
        name,
        pattern,
        principal: r.nullable_string()?,
        host: r.nullable_string()?,
        operation: r.i8()?,
        permission: r.i8()?,
    };
    r.tags()?;
    Ok(filter)
}

impl Filter<'_> {
    /// Whether it finds `binding`. Of internal topics, the platform denies operations that it is
    /// free to choose: `operation` [`ANY`] in a binding stands for all of them.
    fn finds(&self, binding: &Binding<'_>) -> bool {
        let is = |wanted: i8, value: i8| wanted == ANY || value == ANY || wanted == value;
        let named = |wanted: Option<&str>, value: &str| wanted.is_none_or(|wanted| wanted == value);
        is(self.resource, binding.resource)
            && self.finds_name(binding)
            && named(self.principal, binding.principal)
            && named(self.host, binding.host)
            && is(self.operation, binding.operation)
            && is(self.permission, binding.permission)
    }

    fn finds_name(&self, binding: &Binding<'_>) -> bool {
        let same_pattern = matches!(self.pattern, ANY | MATCH) || self.pattern == binding.pattern;
        let Some(name) = self.name else { return same_pattern };
        match self.pattern {
            MATCH if binding.pattern == PREFIXED => name.starts_with(binding.name),
            MATCH => binding.name == name || binding.name == "*",
            _ => same_pattern && binding.name == name,
        }
    }

    /// Whether deleting what it finds would take a binding of the platform.
    fn finds_platform(&self) -> bool {
        if self.principal.is_some_and(is_platform_principal) {
            return true;
        }
        // Guards of platform topics may have any name with their prefix.
        if let Some(name) = self.name
            && name.starts_with(PLATFORM_TOPICS)
            && matches!(self.resource, ANY | TOPIC)
        {
            return true;
        }
        platform_bindings().any(|binding| self.finds(&binding))
    }
}

pub(in crate::gateway) fn delete(_: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    let mut r = Reader::new(body, format.flexible);
    let (mut items, mut results) = (Vec::new(), Vec::new());
    for _ in 0..split::items(&mut r)? {
        let start = r.position();
        let refused = read_filter(&mut r, format)?.finds_platform();
        items.push(r.since(start));
        results.push(refused.then(|| {
            let mut w = Writer::new(format.flexible);
            Refusal::new(
                code::POLICY_VIOLATION,
                "this filter also finds bindings of the platform, which stay: narrow it, for example to one principal",
            )
            .put(&mut w);
            w.array(0); // matching bindings
            w.tags();
            w.bytes
        }));
    }
    let rest_at = r.position();
    let shape = Shape { format, head: split::throttle, good_head: split::no_throttle, positional: Some(skip_deleted) };
    let kept = results.clone();
    Ok(split::decide(shape, results, || split::without_refused(format, body, 0, &items, &kept, rest_at)))
}

fn skip_deleted(r: &mut Reader<'_>, format: Format) -> Wire<()> {
    r.i16()?;
    r.nullable_string()?;
    for _ in 0..r.array()? {
        r.i16()?;
        r.nullable_string()?;
        read_binding(r, format)?;
    }
    r.tags()
}

/// Leaves the platform's bindings out of what DescribeAcls found.
pub(in crate::gateway) fn describe(_: Scope<'_>, format: Format, body: &[u8]) -> Wire<Vec<u8>> {
    let mut r = Reader::new(body, format.flexible);
    r.i32()?; // throttle time
    r.i16()?; // error
    r.nullable_string()?;
    let mut w = Writer::new(format.flexible);
    w.raw(r.since(0));
    let mut shown = Writer::new(format.flexible);
    let mut resources = 0;
    for _ in 0..r.array()? {
        let start = r.position();
        let (resource, name) = (r.i8()?, r.string()?);
        let pattern = if format.version >= 1 { r.i8()? } else { LITERAL };
        let head = r.since(start);
        let mut acls = Vec::new();
        for _ in 0..r.array()? {
            let start = r.position();
            let (principal, host) = (r.string()?, r.string()?);
            let (operation, permission) = (r.i8()?, r.i8()?);
            r.tags()?;
            let binding = Binding { resource, name, pattern, principal, host, operation, permission };
            if !binding.is_platform() {
                acls.push(r.since(start));
            }
        }
        let tags_at = r.position();
        r.tags()?;
        if !acls.is_empty() {
            shown.raw(&split::around(format, head, &acls, r.since(tags_at)));
            resources += 1;
        }
    }
    w.array(resources);
    w.raw(&shown.bytes);
    w.raw(r.rest());
    Ok(w.bytes)
}
