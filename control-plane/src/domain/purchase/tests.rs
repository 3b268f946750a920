use super::samples::{catalogue, catalogue_of_two_regions, order};
use super::*;
use control_plane_api::instance::BillingMode;
use proptest::prelude::*;

fn strings(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}

/// Place and code of every fault.
fn faults(request: &CreateInstance, catalogue: &Catalogue) -> Vec<(String, String)> {
    match check_purchase(request, catalogue) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| (fault.pointer, fault.code)).collect(),
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
}

#[test]
fn the_least_order_takes_its_defaults() {
    let purchase = check_purchase(&order(), &catalogue()).expect("breaks no rule");
    assert_eq!(purchase.sale.spec.name, "kafka.100");
    assert_eq!(purchase.sale.region, "local-1");
    assert_eq!(purchase.sale.zones, ["local-1a", "local-1b", "local-1c"]);
    assert_eq!(purchase.kafka_version, "4.3.1");
    assert_eq!(purchase.user, "admin");
    assert!(purchase.password.is_none());
}

#[test]
fn all_faults_come_together_each_with_its_place() {
    let request = CreateInstance {
        name: "1x".to_owned(),
        spec: "600".to_owned(),
        storage_gb: 100,
        disk_type: "high".to_owned(),
        zones: strings(&["local-1a", "nowhere"]),
        kafka_version: Some("3.8.0".to_owned()),
        billing: BillingOrder { mode: BillingMode::Hourly, months: Some(3) },
        labels: BTreeMap::from([("a b".to_owned(), "x".to_owned())]),
        description: "x".repeat(1_025),
        access: control_plane_api::instance::AccessOrder {
            sasl_ssl: Some(KafkaUserOrder { user: "sluice-x".to_owned(), password: "short".to_owned() }),
            ..Default::default()
        },
        capacity_policy: None,
        quote_id: None,
    };
    assert_eq!(
        faults(&request, &catalogue()),
        pairs(&[
            ("/name", "name-shape"),
            ("/storage_gb", "out-of-range"),
            ("/disk_type", "disk-type-not-of-spec"),
            ("/zones/1", "unknown-zone"),
            ("/zones", "two-zones"),
            ("/billing/months", "months-without-prepaid"),
            ("/kafka_version", "retired-version"),
            ("/labels/a b", "label-key"),
            ("/description", "too-long"),
            ("/access/sasl_ssl/user", "user-reserved"),
            ("/access/sasl_ssl/password", "password-length"),
            ("/access/sasl_ssl/password", "password-classes"),
        ])
    );
}

#[test]
fn a_fault_says_what_would_be_accepted() {
    let Err(faults) = check_purchase(&CreateInstance { spec: "kafka.99".to_owned(), ..order() }, &catalogue()) else {
        panic!("kafka.99 is no spec");
    };
    assert_eq!(faults[0].detail, r#""kafka.99" is no spec; accepted: kafka.100, kafka.300, kafka.600, kafka.1200"#);
}

#[test]
fn zones_are_one_or_three_and_more_of_one_region() {
    for (zones, expected) in [
        (&["local-1b"][..], &[][..]),
        (&["local-1c", "local-1a", "local-1b"], &[]),
        (&[], &[("/zones", "required")]),
        (&["local-1a", "local-1b"], &[("/zones", "two-zones")]),
        (&["local-1a", "local-1a"], &[("/zones/1", "duplicate-zone")]),
        (&["local-1a", "local-1b", "local-2a"], &[("/zones", "zones-of-two-regions")]),
    ] {
        let request = CreateInstance { zones: strings(zones), ..order() };
        assert_eq!(faults(&request, &catalogue_of_two_regions()), pairs(expected), "{zones:?}");
    }
}

#[test]
fn with_several_regions_the_zones_must_be_named() {
    assert_eq!(faults(&order(), &catalogue_of_two_regions()), pairs(&[("/zones", "required")]));
}

#[test]
fn prepaid_needs_months_that_are_sold() {
    for (mode, months, expected) in [
        (BillingMode::Prepaid, Some(12), &[][..]),
        (BillingMode::Prepaid, None, &[("/billing/months", "required")]),
        (BillingMode::Prepaid, Some(10), &[("/billing/months", "months-not-offered")]),
        (BillingMode::Hourly, Some(1), &[("/billing/months", "months-without-prepaid")]),
    ] {
        let request = CreateInstance { billing: BillingOrder { mode, months }, ..order() };
        assert_eq!(faults(&request, &catalogue()), pairs(expected), "{mode:?} {months:?}");
    }
}

#[test]
fn what_is_retired_is_refused_as_such() {
    let mut catalogue = catalogue();
    catalogue.specs[0].available = false;
    catalogue.kafka_versions[0].available = false;
    assert_eq!(
        faults(&order(), &catalogue),
        pairs(&[("/spec", "retired-spec"), ("/kafka_version", "retired-version")])
    );
}

#[test]
fn a_quote_names_months_where_its_request_has_them() {
    let request: CreateQuote = serde_json::from_value(
        serde_json::json!({ "spec": "100", "storage_gb": 600, "disk_type": "high", "billing": "prepaid" }),
    )
    .expect("a request");
    let Err(faults) = check_quote(&request, &catalogue()) else { panic!("months are missing") };
    assert_eq!(faults[0].pointer, "/months");
}

proptest! {
    /// Each part is broken or not; the faults are exactly those of the broken parts.
    #[test]
    fn each_broken_part_is_told_whatever_else_is_broken(
        name in any::<bool>(), storage in any::<bool>(), zones in any::<bool>(), version in any::<bool>(),
        months in any::<bool>(), description in any::<bool>(), user in any::<bool>(),
    ) {
        let mut request = order();
        let mut expected = Vec::new();
        if name { request.name.clear(); expected.push(("/name", "name-shape")); }
        if storage { request.storage_gb = 1; expected.push(("/storage_gb", "out-of-range")); }
        if zones { request.zones = strings(&["local-1a", "local-1b"]); expected.push(("/zones", "two-zones")); }
        if months { request.billing.mode = BillingMode::Prepaid; expected.push(("/billing/months", "required")); }
        if version { request.kafka_version = Some("1.1.0".to_owned()); expected.push(("/kafka_version", "unknown-version")); }
        if description { request.description = "x".repeat(2_000); expected.push(("/description", "too-long")); }
        if user {
            request.access.sasl_ssl = Some(KafkaUserOrder { user: "a".to_owned(), password: "Tr4nquil-Harbour".to_owned() });
            expected.push(("/access/sasl_ssl/user", "user-shape"));
        }
        prop_assert_eq!(faults(&request, &catalogue()), pairs(&expected));
    }
}
