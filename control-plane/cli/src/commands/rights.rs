//! What a Kafka user may do, in plain words: `sluice user rights | grant | revoke`.

use super::acl::{RULES, carry_out};
use crate::{
    client::{Doc, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    render::{enum_text, table},
};
use clap::Args;
use control_plane_api::{
    acl::{AclBinding, AclPattern},
    kafka_rights::{GrantKafkaRights, KafkaRights, RevokeKafkaRights, TopicRight},
};

#[derive(Debug, Args)]
pub struct What {
    /// Topic, or all that begin alike: orders, 'orders-*', '*'
    #[arg(long)]
    topic: Option<String>,
    /// Write to the topic
    #[arg(long, requires = "topic")]
    produce: bool,
    /// Read the topic
    #[arg(long, requires = "topic")]
    consume: bool,
    /// Create, delete, trim, extend and configure the topic
    #[arg(long, requires = "topic")]
    manage: bool,
    /// Consumer group that the user may join, or all that begin alike
    #[arg(long)]
    group: Option<String>,
    /// Transactional id that the user may write under, or all that begin alike
    #[arg(long, value_name = "ID")]
    transactional_id: Option<String>,
    /// Show what would change, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl What {
    fn rights(&self) -> Vec<TopicRight> {
        let named = [self.produce, self.consume, self.manage].into_iter().zip(TopicRight::ALL);
        named.filter_map(|(named, right)| named.then_some(right)).collect()
    }
}

pub async fn show(ctx: &Context, path: Vec<String>) -> Result<()> {
    let doc: Doc<KafkaRights> = ctx.client.fetch(&Call::get(path)).await?;
    let rights = doc.typed()?;
    let lines = |lines: Vec<String>| if lines.is_empty() { "none".to_owned() } else { lines.join("\n") };
    let topics = rights.topics.iter().map(|one| {
        let words: Vec<&str> = one.rights.iter().map(|right| right.as_str()).collect();
        format!("{}: {}", one.topic, words.join(", "))
    });
    let in_force = if rights.in_force { "yes" } else { "no: authorization is open, everybody may do this" };
    let details = [
        ("Kafka user".to_owned(), rights.user.clone()),
        ("Topics".to_owned(), lines(topics.collect())),
        ("Groups".to_owned(), lines(rights.groups.clone())),
        ("Transactional ids".to_owned(), lines(rights.transactional_ids.clone())),
        ("Other rules".to_owned(), lines(rights.other.iter().map(rule).collect())),
        ("In force".to_owned(), in_force.to_owned()),
    ];
    ctx.out.value(&doc.value, &rights.user, &table::details(&details, ctx.out.color))
}

fn rule(binding: &AclBinding) -> String {
    let star = if binding.pattern_type == AclPattern::Prefixed { "*" } else { "" };
    let [permission, operation] = [enum_text(&binding.permission), enum_text(&binding.operation)];
    format!("{permission} {operation} on {} {}{star}", enum_text(&binding.resource_type), binding.resource_name)
}

pub async fn grant(ctx: &Context, scope: &Scope, user: &str, path: Vec<String>, what: What) -> Result<()> {
    if what.topic.is_none() && what.group.is_none() && what.transactional_id.is_none() {
        return Err(Error::Usage("say what: --topic with --produce, --consume or --manage; --group".to_owned()));
    }
    let body = GrantKafkaRights {
        rights: what.rights(),
        topic: what.topic,
        group: what.group,
        transactional_id: what.transactional_id,
    };
    carry_out(ctx, scope, user, Call::put(path).json(&body)?, what.dry_run, None).await
}

pub async fn revoke(ctx: &Context, scope: &Scope, user: &str, path: Vec<String>, what: What, all: bool) -> Result<()> {
    if !all && what.topic.is_none() && what.group.is_none() && what.transactional_id.is_none() {
        return Err(Error::Usage("say what: --topic, --group, --transactional-id or --all".to_owned()));
    }
    let rights: Vec<&str> = what.rights().into_iter().map(TopicRight::as_str).collect();
    let query = RevokeKafkaRights {
        rights: (!rights.is_empty()).then(|| rights.join(",")),
        topic: what.topic,
        group: what.group,
        transactional_id: what.transactional_id,
        all,
    };
    carry_out(ctx, scope, user, Call::delete(path).queries(&query)?, what.dry_run, Some(RULES)).await
}
