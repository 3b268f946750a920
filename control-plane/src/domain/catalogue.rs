//! The catalogue as rules see it: one consistent picture of what can be bought, and the names that things go by.

use crate::domain::{placement::ZoneCapacity, storage};
use control_plane_api::{
    catalogue::{DiskType, KafkaVersion, PutKafkaVersion, PutSpec, Spec},
    money::Amount,
    problem::FieldError,
};
use std::borrow::Cow;

/// Everything that an order is checked against. Retired entries are in it, so that a refusal can say "retired".
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    pub specs: Vec<Spec>,
    pub disk_types: Vec<DiskType>,
    pub kafka_versions: Vec<KafkaVersion>,
    /// In name order.
    pub zones: Vec<ZoneCapacity>,
}

/// `100` is short for `kafka.100`; every other name stands for itself.
pub fn full_spec_name(name: &str) -> Cow<'_, str> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
        Cow::Owned(format!("kafka.{name}"))
    } else {
        Cow::Borrowed(name)
    }
}

impl Catalogue {
    pub fn spec(&self, name: &str) -> Option<&Spec> {
        let name = full_spec_name(name);
        self.specs.iter().find(|spec| spec.name == name)
    }

    pub fn disk_type(&self, name: &str) -> Option<&DiskType> {
        self.disk_types.iter().find(|disk| disk.name == name)
    }

    pub fn zone(&self, name: &str) -> Option<&ZoneCapacity> {
        self.zones.iter().find(|zone| zone.name == name)
    }

    pub fn regions(&self) -> Vec<&str> {
        let mut regions: Vec<&str> = self.zones.iter().map(|zone| zone.region.as_str()).collect();
        regions.sort_unstable();
        regions.dedup();
        regions
    }

    /// Zones of a region, in name order.
    pub fn zones_of(&self, region: &str) -> Vec<&str> {
        self.zones.iter().filter(|zone| zone.region == region).map(|zone| zone.name.as_str()).collect()
    }

    /// Specs on sale of which the zone cannot take one more broker, even with the least storage.
    pub fn sold_out_specs(&self, zone: &ZoneCapacity) -> Vec<String> {
        self.specs
            .iter()
            .filter(|spec| spec.available)
            .filter(|spec| zone.fits(storage::broker_room(spec, spec.storage_gb_min)) == 0)
            .map(|spec| spec.name.clone())
            .collect()
    }
}

/// Faults of a spec that an operator writes, all together.
pub fn check_spec(name: &str, put: &PutSpec, disk_types: &[DiskType]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let shaped = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b));
    if !shaped {
        faults.push(FieldError::new(
            "spec",
            "spec-shape",
            "a spec's name is 1 to 64 lower-case letters, digits, '.', '-' and '_', beginning with a letter, as kafka.100",
        ));
    }
    for (pointer, value, least) in [
        ("/bandwidth_mb_per_s", put.bandwidth_mb_per_s, 1),
        ("/brokers", put.brokers, 3),
        ("/broker_vcpus", put.broker_vcpus, 1),
        ("/broker_memory_gib", put.broker_memory_gib, 1),
        ("/tps_high_throughput", put.tps_high_throughput, 1),
        ("/partitions", put.partitions, 1),
        ("/client_connections", put.client_connections, 1),
        ("/consumer_groups", put.consumer_groups, 1),
        ("/advised_traffic_mb_per_s", put.advised_traffic_mb_per_s, 1),
    ] {
        if value < least || value > i32::MAX as u32 {
            faults.push(FieldError::new(
                pointer,
                "out-of-range",
                format!("{value} is given; {least} or more is accepted"),
            ));
        }
    }
    let least_storage = storage::least_useful_gb(put.brokers);
    if put.storage_gb_min < least_storage
        || put.storage_gb_min > put.storage_gb_max
        || put.storage_gb_max > i32::MAX as u32
    {
        faults.push(FieldError::new(
            "/storage_gb_min",
            "out-of-range",
            format!("the least storage is from {least_storage} GB, so that something is left for messages, to storage_gb_max"),
        ));
    }
    if put.disk_types.is_empty() {
        faults.push(FieldError::new("/disk_types", "required", "name one disk type or more"));
    }
    for (at, name) in put.disk_types.iter().enumerate() {
        if !disk_types.iter().any(|disk| disk.name == *name) {
            let known = disk_types.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>().join(", ");
            let detail = format!("{name:?} is no disk type; accepted: {known}");
            let fault = FieldError::new(format!("/disk_types/{at}"), "unknown-disk-type", detail);
            faults.push(fault.with("accepted", known));
        }
    }
    for (pointer, price) in [("/price_per_month", put.price_per_month), ("/price_per_hour", put.price_per_hour)] {
        // The column holds eight digits before the point.
        if price < Amount::ZERO || price.ten_thousandths() >= 1_000_000_000_000 {
            faults.push(FieldError::new(pointer, "out-of-range", "a price is from 0 to 99999999.9999 CNY"));
        }
    }
    faults
}

/// Faults of a Kafka version that an operator writes.
pub fn check_kafka_version(version: &str, put: &PutKafkaVersion) -> Vec<FieldError> {
    let numbers = |text: &str, least: usize, most: usize| {
        let parts: Vec<&str> = text.split('.').collect();
        (least..=most).contains(&parts.len())
            && parts.iter().all(|part| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut faults = Vec::new();
    if !numbers(version, 3, 3) {
        faults.push(FieldError::new("version", "version-shape", "a version has three numbers, as 4.3.1"));
    }
    if !numbers(&put.oldest_client, 2, 3) {
        faults.push(FieldError::new(
            "/oldest_client",
            "version-shape",
            "a client version has two or three numbers, as 2.1",
        ));
    }
    if put.default && !put.available {
        faults.push(FieldError::new("/default", "retired-default", "the default version must be available"));
    }
    faults
}
