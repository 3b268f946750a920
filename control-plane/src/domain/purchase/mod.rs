//! Orders, checked: every fault of a request together, each with its place, a code and what would be accepted.
//!
//! Only what the request and the catalogue say is checked here. What depends on the project and on the moment (name
//! taken, quota, room, price moved) is checked in the transaction that accepts the order.

mod terms;

pub use terms::{Sale, Terms};

use crate::domain::{catalogue::Catalogue, kafka_user, names};
use control_plane_api::{
    access::Access,
    id::QuoteId,
    instance::{BillingOrder, CapacityPolicy, CreateInstance, KafkaUserOrder},
    problem::FieldError,
    quote::CreateQuote,
};
use std::collections::BTreeMap;

/// An order for an instance that breaks no rule, every default filled in.
#[derive(Debug, Clone)]
pub struct Purchase {
    pub name: String,
    pub description: String,
    pub labels: BTreeMap<String, String>,
    pub sale: Sale,
    pub kafka_version: String,
    pub capacity_policy: CapacityPolicy,
    pub access: Access,
    /// The first Kafka user.
    pub user: String,
    /// `None`: one is to be made.
    pub password: Option<broker_api::secret::Secret>,
    pub quote_id: Option<QuoteId>,
}

/// What is wanted and its price; or all faults.
pub fn check_quote(request: &CreateQuote, catalogue: &Catalogue) -> Result<Sale, Vec<FieldError>> {
    let mut faults = Vec::new();
    let terms = Terms {
        spec: &request.spec,
        storage_gb: request.storage_gb,
        disk_type: &request.disk_type,
        zones: request.zones.as_deref(),
        billing: BillingOrder { mode: request.billing, months: request.months },
        months_pointer: "/months",
    };
    terms.check(catalogue, &mut faults).filter(|_| faults.is_empty()).ok_or(faults)
}

/// The order with its defaults; or all faults.
pub fn check_purchase(request: &CreateInstance, catalogue: &Catalogue) -> Result<Purchase, Vec<FieldError>> {
    let mut faults = Vec::new();
    names::check_name("/name", &request.name, &mut faults);
    let terms = Terms {
        spec: &request.spec,
        storage_gb: request.storage_gb,
        disk_type: &request.disk_type,
        zones: request.zones.as_deref(),
        billing: request.billing.clone(),
        months_pointer: "/billing/months",
    };
    let sale = terms.check(catalogue, &mut faults);
    let kafka_version = check_version(request.kafka_version.as_deref(), catalogue, &mut faults);
    names::check_labels("/labels", &request.labels, &mut faults);
    names::check_description("/description", &request.description, &mut faults);
    let (user, password) = check_first_user(request.access.sasl_ssl.as_ref(), &mut faults);

    match (sale, kafka_version) {
        (Some(sale), Some(kafka_version)) if faults.is_empty() => Ok(Purchase {
            name: request.name.clone(),
            description: request.description.clone(),
            labels: request.labels.clone(),
            sale,
            kafka_version,
            capacity_policy: request.capacity_policy.unwrap_or_default(),
            access: Access {
                public_plaintext: request.access.public_plaintext,
                public_sasl_ssl: request.access.public_sasl_ssl,
                ..Access::default()
            },
            user,
            password,
            quote_id: request.quote_id,
        }),
        _ => Err(faults),
    }
}

fn check_first_user(
    order: Option<&KafkaUserOrder>,
    faults: &mut Vec<FieldError>,
) -> (String, Option<broker_api::secret::Secret>) {
    let Some(order) = order else {
        return (kafka_user::DEFAULT_USER.to_owned(), None);
    };
    kafka_user::check_user("/access/sasl_ssl/user", &order.user, faults);
    kafka_user::check_password("/access/sasl_ssl/password", &order.user, &order.password, faults);
    (order.user.clone(), Some(broker_api::secret::Secret::new(&order.password)))
}

fn check_version(wanted: Option<&str>, catalogue: &Catalogue, faults: &mut Vec<FieldError>) -> Option<String> {
    let versions = &catalogue.kafka_versions;
    let accepted: Vec<&str> = versions.iter().filter(|v| v.available).map(|v| v.version.as_str()).collect();
    let fault = |code: &str, what: String| {
        FieldError::new("/kafka_version", code, format!("{what}; accepted: {}", accepted.join(", ")))
            .with("accepted", accepted.clone())
    };
    let found = match wanted {
        Some(wanted) => versions.iter().find(|known| known.version == wanted),
        None => versions.iter().find(|known| known.default),
    };
    match (found, wanted) {
        (Some(version), _) if version.available => return Some(version.version.clone()),
        (Some(version), _) => {
            faults.push(fault("retired-version", format!("{} is no longer offered", version.version)))
        }
        (None, Some(wanted)) => faults.push(fault("unknown-version", format!("{wanted:?} is not offered"))),
        (None, None) => faults.push(fault("required", "no version is the default now".to_owned())),
    }
    None
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
