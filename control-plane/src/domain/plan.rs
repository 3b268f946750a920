//! What a change would do, in words: the answer to `dry_run=true`. Steps come from the job that would do it.

use crate::domain::{price::Price, purchase::Purchase, storage};
use control_plane_api::{
    instance::{BillingMode, Change, Check, PlannedStep, PriceChange},
    money::{Amount, Money},
};
use serde_json::{Value, json};

/// How a change reaches clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Live,
    Replace,
}

pub fn change(path: &str, from: impl Into<Value>, to: impl Into<Value>, effect: Effect) -> Change {
    let effect = match effect {
        Effect::Live => "live",
        Effect::Replace => "replace",
    };
    Change { path: path.to_owned(), from: from.into(), to: to.into(), effect: effect.to_owned() }
}

/// Those of the fields that are not what they were, in their order.
pub fn live_changes<const N: usize>(fields: [(&str, Value, Value); N]) -> Vec<Change> {
    let changed = fields.into_iter().filter(|(_, from, to)| from != to);
    changed.map(|(path, from, to)| change(path, from, to, Effect::Live)).collect()
}

pub fn ok(code: &str, detail: impl Into<String>) -> Check {
    Check { code: code.to_owned(), severity: "ok".to_owned(), detail: detail.into() }
}

pub fn warning(code: &str, detail: impl Into<String>) -> Check {
    Check { code: code.to_owned(), severity: "warning".to_owned(), detail: detail.into() }
}

/// Everything that a purchase makes, each default that was taken among it.
pub fn purchase_changes(purchase: &Purchase) -> Vec<Change> {
    let sale = &purchase.sale;
    let new = |path: &str, to: Value| change(path, Value::Null, to, Effect::Live);
    vec![
        new("/name", json!(purchase.name)),
        new("/spec", json!(sale.spec.name)),
        new("/region", json!(sale.region)),
        new("/zones", json!(sale.zones)),
        new("/kafka_version", json!(purchase.kafka_version)),
        new("/storage_gb", json!(sale.storage_gb)),
        new("/usable_storage_gb", json!(storage::usable_gb(sale.storage_gb, sale.spec.brokers))),
        new("/disk_type", json!(sale.disk.name)),
        new("/capacity_policy", json!(purchase.capacity_policy)),
        new("/billing", json!({ "mode": sale.billing.mode, "months": sale.billing.months })),
        new("/access/sasl_ssl/user", json!(purchase.user)),
        new("/access/public_plaintext", json!(purchase.access.public_plaintext)),
        new("/access/public_sasl_ssl", json!(purchase.access.public_sasl_ssl)),
        new("/labels", json!(purchase.labels)),
        new("/description", json!(purchase.description)),
    ]
}

/// Checks of a purchase that passed, and what its buyer should know.
pub fn purchase_checks(purchase: &Purchase) -> Vec<Check> {
    let sale = &purchase.sale;
    let mut checks = vec![
        ok("quota", "the project's quota has room for one more instance"),
        ok("room", format!("{} have room for its {} brokers", sale.zones.join(", "), sale.spec.brokers)),
    ];
    if sale.zones.len() == 1 {
        checks.push(warning(
            "one-zone",
            "all brokers stand in one zone: when it is lost, the instance is away until it returns",
        ));
    }
    checks
}

/// From nothing to the price.
pub fn purchase_price(price: Price) -> PriceChange {
    PriceChange { now: Money::cny(Amount::ZERO), then: Money::cny(price.total), lines: price.lines, per: price.per }
}

/// What whoever deletes an instance should know.
pub fn deletion_checks(billing: BillingMode) -> Vec<Check> {
    let mut checks =
        vec![warning("data-lost", "all topics, messages, users and rights of the instance are gone for good")];
    if billing == BillingMode::Prepaid {
        checks.push(warning("prepaid-not-refunded", "what is left of the prepaid time is not refunded by a deletion"));
    }
    checks
}

pub fn step(name: &str, title: &str, brokers: &[i32]) -> PlannedStep {
    PlannedStep { name: name.to_owned(), title: title.to_owned(), brokers: brokers.to_vec() }
}
