//! Quotas of clients (KIP-546), over connections of [`wire`]: each broker is asked by itself whether it knows of a change.

use super::{
    Cluster,
    wire::{self, WireError},
};
use crate::domain::client_quota as quotas;
use broker_api::quota::{BOUNDLESS, PLATFORM_USERS, entity, key};
use control_plane_api::client_quota::{QuotaEntity, QuotaKey, QuotaLimits, QuotaRule};
use kafka_protocol::{
    messages::{
        AlterClientQuotasRequest, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
        alter_client_quotas_request::{EntityData, EntryData, OpData},
    },
    protocol::StrBytes,
};
use std::{net::SocketAddr, time::Duration};
use tokio::time::sleep;

/// Of AlterClientQuotas and DescribeClientQuotas; served by 3.9 and all of 4.x.
const VERSION: i16 = 1;
/// Between looks whether a broker knows of a change.
const SETTLING_EVERY: Duration = Duration::from_millis(20);

/// What the tenant has set, as the first broker knows it that answers.
pub(super) async fn describe(cluster: &Cluster) -> Result<Vec<QuotaRule>, WireError> {
    let found = rules(wire::call(cluster, &everything(), VERSION).await?)?;
    Ok(found.into_iter().filter(|rule| !quotas::is_platform(&rule.entity)).collect())
}

/// Sets and takes figures, and waits until every broker that answers knows it.
pub(super) async fn write(cluster: &Cluster, set: &[QuotaRule], remove: &[QuotaRule]) -> Result<(), WireError> {
    let entries: Vec<EntryData> =
        set.iter().map(|rule| entry(rule, false)).chain(remove.iter().map(|rule| entry(rule, true))).collect();
    if entries.is_empty() {
        return Ok(());
    }
    alter(cluster, entries).await?;
    for &address in &cluster.internal {
        settle(cluster, address, |known| is_settled(known, set, remove)).await?;
    }
    Ok(())
}

/// Gives the platform's principals figures that nobody else's rule goes before (see [`quotas::effective`]).
pub(super) async fn shield(cluster: &Cluster) -> Result<(), WireError> {
    let known = wire::call(cluster, &everything(), VERSION).await?;
    if is_shielded(&known) {
        return Ok(());
    }
    let op = |key| OpData::default().with_key(StrBytes::from_static_str(key)).with_value(BOUNDLESS);
    let entry = |user| {
        let user = EntityData::default()
            .with_entity_type(StrBytes::from_static_str(entity::USER))
            .with_entity_name(Some(StrBytes::from_static_str(user)));
        EntryData::default().with_entity(vec![user]).with_ops(key::ALL.map(op).into())
    };
    alter(cluster, PLATFORM_USERS.map(entry).into()).await
}

fn is_shielded(known: &DescribeClientQuotasResponse) -> bool {
    let holds = |user: &str| {
        known.entries.iter().flatten().any(|entry| {
            let [part] = &entry.entity[..] else { return false };
            part.entity_type.as_str() == entity::USER
                && part.entity_name.as_ref().is_some_and(|name| name.as_str() == user)
                && key::ALL.iter().all(|key| entry.values.iter().any(|value| value.key.as_str() == *key))
        })
    };
    PLATFORM_USERS.iter().all(|user| holds(user))
}

async fn alter(cluster: &Cluster, entries: Vec<EntryData>) -> Result<(), WireError> {
    let request = AlterClientQuotasRequest::default().with_entries(entries);
    for result in wire::call(cluster, &request, VERSION).await?.entries {
        wire::refused(result.error_code, result.error_message)?;
    }
    Ok(())
}

/// Each broker reads the change from the metadata log by itself, within milliseconds.
async fn settle(
    cluster: &Cluster,
    address: SocketAddr,
    is_settled: impl Fn(&[QuotaRule]) -> bool,
) -> Result<(), WireError> {
    while let Some(known) = wire::ask_one(cluster, address, &everything(), VERSION).await? {
        if is_settled(&rules(known)?) {
            break;
        }
        sleep(SETTLING_EVERY).await;
    }
    Ok(())
}

fn is_settled(known: &[QuotaRule], set: &[QuotaRule], remove: &[QuotaRule]) -> bool {
    let now = |entity: &QuotaEntity, key: QuotaKey| {
        let rule = known.iter().find(|rule| rule.entity == *entity);
        rule.and_then(|rule| quotas::limit(&rule.limits, key))
    };
    let holds =
        |rule: &QuotaRule| quotas::figures(&rule.limits).all(|(key, value)| now(&rule.entity, key) == Some(value));
    let is_gone = |rule: &QuotaRule| quotas::figures(&rule.limits).all(|(key, _)| now(&rule.entity, key).is_none());
    set.iter().all(holds) && remove.iter().all(is_gone)
}

fn everything() -> DescribeClientQuotasRequest {
    DescribeClientQuotasRequest::default()
}

fn rules(response: DescribeClientQuotasResponse) -> Result<Vec<QuotaRule>, WireError> {
    wire::refused(response.error_code, response.error_message)?;
    let mut rules = Vec::new();
    for entry in response.entries.unwrap_or_default() {
        let parts = entry.entity.iter().map(|part| (part.entity_type.as_str(), part.entity_name.as_deref()));
        let Some(entity) = quotas::entity(parts) else {
            tracing::warn!(?entry.entity, "a quota of a kind that is not known");
            continue;
        };
        let mut limits = QuotaLimits::default();
        for key in QuotaKey::ALL {
            let value = entry.values.iter().find(|value| value.key.as_str() == quotas::word(key));
            quotas::set_limit(&mut limits, key, value.map(|value| value.value));
        }
        rules.push(QuotaRule { entity, limits });
    }
    Ok(rules)
}

fn entry(rule: &QuotaRule, remove: bool) -> EntryData {
    let part = |(kind, name): (&'static str, Option<&str>)| {
        EntityData::default().with_entity_type(StrBytes::from_static_str(kind)).with_entity_name(name.map(wire::text))
    };
    let op = |(key, value)| {
        let value = if remove { 0.0 } else { value };
        OpData::default().with_key(StrBytes::from_static_str(quotas::word(key))).with_value(value).with_remove(remove)
    };
    EntryData::default()
        .with_entity(quotas::parts(&rule.entity).map(part).collect())
        .with_ops(quotas::figures(&rule.limits).map(op).collect())
}
