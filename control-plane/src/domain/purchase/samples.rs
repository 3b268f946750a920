//! The seeded catalogue (product.md §1) for tests of rules.

use crate::domain::{
    catalogue::Catalogue,
    placement::{Room, ZoneCapacity},
};
use control_plane_api::{
    catalogue::{DiskType, KafkaVersion, Spec},
    instance::CreateInstance,
    money::Amount,
};

fn spec(mb: u32, brokers: u32, vcpus: u32, disks: &[&str], storage_gb_min: u32, month: &str, hour: &str) -> Spec {
    Spec {
        name: format!("kafka.{mb}"),
        bandwidth_mb_per_s: mb,
        brokers,
        broker_vcpus: vcpus,
        broker_memory_gib: vcpus * 2,
        disk_types: disks.iter().map(|disk| (*disk).to_owned()).collect(),
        tps_high_throughput: mb * 1_000,
        tps_synchronous_replication: Vec::new(),
        partitions: (mb * 3).min(1_800),
        client_connections: 3_000,
        consumer_groups: (mb * 6 / 10).max(60),
        advised_traffic_mb_per_s: mb * 7 / 10,
        storage_gb_min,
        storage_gb_max: 90_000,
        price_per_month: amount(month),
        price_per_hour: amount(hour),
        available: true,
    }
}

fn amount(text: &str) -> Amount {
    text.parse().expect("an amount")
}

fn disk(name: &str, month: &str, hour: &str) -> DiskType {
    DiskType {
        name: name.to_owned(),
        title: name.to_owned(),
        latency_ms: "1".to_owned(),
        throughput_mb_per_s: 150,
        price_per_gb_month: amount(month),
        price_per_gb_hour: amount(hour),
        available: true,
    }
}

fn zone(name: &str) -> ZoneCapacity {
    let total = Room { vcpus: 1_000, memory_gib: 2_000, storage_gb: 1_000_000 };
    ZoneCapacity { name: name.to_owned(), region: name[..name.len() - 1].to_owned(), total, used: Room::default() }
}

/// One region of three zones.
pub(crate) fn catalogue() -> Catalogue {
    Catalogue {
        specs: vec![
            spec(100, 3, 2, &["high", "ultra"], 600, "1300", "2.71"),
            spec(300, 3, 4, &["high", "ultra"], 1_200, "2100", "4.38"),
            spec(600, 4, 8, &["ultra"], 2_400, "4005", "8.34"),
            spec(1_200, 8, 8, &["ultra"], 4_800, "7270", "15.15"),
        ],
        disk_types: vec![disk("high", "0.60", "0.0013"), disk("ultra", "1.50", "0.0032")],
        kafka_versions: vec![
            version("4.3.1", true, true),
            version("3.9.2", false, true),
            version("3.8.0", false, false),
        ],
        zones: vec![zone("local-1a"), zone("local-1b"), zone("local-1c")],
    }
}

/// The same with a second region of two zones.
pub(crate) fn catalogue_of_two_regions() -> Catalogue {
    let mut catalogue = catalogue();
    catalogue.zones.extend([zone("local-2a"), zone("local-2b")]);
    catalogue
}

fn version(version: &str, default: bool, available: bool) -> KafkaVersion {
    KafkaVersion { version: version.to_owned(), default, oldest_client: "2.1".to_owned(), available }
}

/// The least order that breaks no rule.
pub(crate) fn order() -> CreateInstance {
    serde_json::from_value(
        serde_json::json!({ "name": "orders", "spec": "100", "storage_gb": 600, "disk_type": "high" }),
    )
    .expect("an order")
}
