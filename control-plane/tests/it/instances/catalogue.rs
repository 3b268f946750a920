use super::cloud::{Cloud, order};
use control_plane_api::{
    catalogue::{DiskType, KafkaVersion, Region, Spec, ZoneRoom},
    instance::Instance,
    page::Page,
};
use serde_json::{Value, json};

#[tokio::test]
async fn the_catalogue_lists_what_product_md_seeds() {
    let cloud = Cloud::idle(100).await;
    let (app, owner) = (&cloud.app, cloud.owner());
    let specs: Page<Spec> = app.get("/v1/specs").by(owner).send().await.expect(200);
    let prices: Vec<(String, String, String)> = specs
        .items
        .iter()
        .map(|spec| (spec.name.clone(), spec.price_per_month.to_string(), spec.price_per_hour.to_string()))
        .collect();
    let expected = [
        ("kafka.100", "1300.00", "2.71"),
        ("kafka.300", "2100.00", "4.38"),
        ("kafka.600", "4005.00", "8.34"),
        ("kafka.1200", "7270.00", "15.15"),
    ];
    assert_eq!(prices, expected.map(|(name, month, hour)| (name.to_owned(), month.to_owned(), hour.to_owned())));
    let disks: Page<DiskType> = app.get("/v1/disk-types").by(owner).send().await.expect(200);
    let disks: Vec<_> = disks.items.iter().map(|d| (d.name.as_str(), d.price_per_gb_hour.to_string())).collect();
    assert_eq!(disks, [("high", "0.0013".to_owned()), ("ultra", "0.0032".to_owned())]);
    let versions: Page<KafkaVersion> = app.get("/v1/kafka-versions").by(owner).send().await.expect(200);
    let versions: Vec<_> = versions.items.iter().map(|v| (v.version.as_str(), v.default)).collect();
    assert_eq!(versions, [("4.3.1", true), ("3.9.2", false)]);
    let regions: Page<Region> = app.get("/v1/regions").by(owner).send().await.expect(200);
    let zones: Vec<_> = regions.items[0].zones.iter().map(|zone| zone.name.as_str()).collect();
    assert_eq!((regions.items.len(), zones), (1, vec!["local-1a", "local-1b", "local-1c"]));
    cloud.stop().await;
}

#[tokio::test]
async fn a_zone_without_room_for_one_more_broker_says_so() {
    let cloud = Cloud::idle(1).await;
    let regions: Page<Region> = cloud.app.get("/v1/regions").by(cloud.owner()).send().await.expect(200);
    assert_eq!(regions.items[0].zones[0].sold_out_specs, ["kafka.300", "kafka.600", "kafka.1200"]);
    cloud.order(order("orders")).await.expect::<Value>(202);
    let regions: Page<Region> = cloud.app.get("/v1/regions").by(cloud.owner()).send().await.expect(200);
    assert_eq!(regions.items[0].zones[0].sold_out_specs.len(), 4);
    cloud.stop().await;
}

fn spec(price_per_hour: &str, available: bool) -> Value {
    json!({
        "bandwidth_mb_per_s": 100, "brokers": 3, "broker_vcpus": 2, "broker_memory_gib": 4, "disk_types": ["high", "ultra"],
        "tps_high_throughput": 100_000, "tps_synchronous_replication": [], "partitions": 300, "client_connections": 3_000,
        "consumer_groups": 60, "advised_traffic_mb_per_s": 70, "storage_gb_min": 600, "storage_gb_max": 90_000,
        "price_per_month": "1300", "price_per_hour": price_per_hour, "available": available,
    })
}

#[tokio::test]
async fn an_operator_prices_and_retires_a_spec_while_an_instance_keeps_the_figures_it_was_sold() {
    let cloud = Cloud::start().await;
    cloud.execute("update users set platform_operator = true where email = 'owner@acme.example'").await;
    let sold: Instance = cloud.bought("orders").await;
    let put = |body: Value| {
        cloud.app.call(axum::http::Method::PUT, "/operator/v1/specs/kafka.100").json(body).by(cloud.owner())
    };
    let priced: Spec = put(spec("9.99", false)).send().await.expect(200);
    assert_eq!(priced.price_per_hour.to_string(), "9.99");

    let specs: Page<Spec> = cloud.app.get("/v1/specs").by(cloud.owner()).send().await.expect(200);
    assert!(specs.items.iter().all(|spec| spec.name != "kafka.100"), "a retired spec is not on sale");
    let problem = cloud.order(order("payments")).await.problem("validation-failed");
    assert_eq!(problem.errors[0].code, "retired-spec");
    assert_eq!(cloud.instance("orders").await.spec, sold.spec);

    let rooms: Page<ZoneRoom> = cloud.app.get("/operator/v1/zones").by(cloud.owner()).send().await.expect(200);
    assert_eq!((rooms.items[0].vcpus_total, rooms.items[0].vcpus_used), (200, 2));
    cloud.stop().await;
}

#[tokio::test]
async fn the_operators_paths_do_not_exist_for_tenants() {
    let cloud = Cloud::idle(1).await;
    for path in ["/operator/v1/specs", "/operator/v1/kafka-versions", "/operator/v1/zones"] {
        cloud.app.get(path).by(cloud.owner()).send().await.problem("not-found");
    }
    let put = cloud.app.call(axum::http::Method::PUT, "/operator/v1/specs/kafka.100").json(spec("0", true));
    put.by(cloud.owner()).send().await.problem("not-found");
    cloud.stop().await;
}

#[tokio::test]
async fn a_spec_that_makes_no_sense_is_refused_with_all_its_faults() {
    let cloud = Cloud::idle(1).await;
    cloud.execute("update users set platform_operator = true where email = 'owner@acme.example'").await;
    let mut body = spec("-1", true);
    body["brokers"] = json!(2);
    body["disk_types"] = json!(["floppy"]);
    let put = cloud.app.call(axum::http::Method::PUT, "/operator/v1/specs/Kafka!").json(body);
    let problem = put.by(cloud.owner()).send().await.problem("validation-failed");
    let places: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(places, ["spec", "/brokers", "/disk_types/0", "/price_per_hour"]);
    cloud.stop().await;
}
