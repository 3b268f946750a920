//! Documents as the API sends them.

use super::{Reply, Request};
use serde_json::{Value, json};

pub const PROJECT: &str = "prj_01jd9mz5w8e4wahj8k6t3v2q7r";
pub const INSTANCE: &str = "ins_01jd9mz5w8e4wahj8k6t3v2q7s";
pub const JOB: &str = "job_01jd9mz5w8e4wahj8k6t3v2q7t";
pub const QUOTE: &str = "quo_01jd9mz5w8e4wahj8k6t3v2q7v";
const ORDER: &str = "ord_01jd9mz5w8e4wahj8k6t3v2q7w";
const ORGANISATION: &str = "org_01jd9mz5w8e4wahj8k6t3v2q7x";
const TIME: &str = "2026-11-21T07:00:00.000Z";

/// Path of a resource of the project.
pub fn of_project(rest: &str) -> String {
    format!("/v1/projects/{PROJECT}/{rest}")
}

pub fn project(name: &str) -> Value {
    json!({"id": PROJECT, "organisation_id": ORGANISATION, "name": name, "description": "", "created_at": TIME,
        "updated_at": TIME, "etag": "1"})
}

pub fn me() -> Value {
    json!({"kind": "user", "user_id": null, "service_account_id": null, "name": "alice@example.com",
        "organisation_id": ORGANISATION, "organisation": "Example", "role": "owner", "operator": false,
        "projects": [{"id": PROJECT, "name": "default", "role": "owner"}]})
}

pub fn spec() -> Value {
    json!({"name": "kafka.100", "bandwidth_mb_per_s": 100, "brokers": 3, "broker_vcpus": 2, "broker_memory_gib": 4,
        "disk_types": ["high", "ultra"], "tps_high_throughput": 100000, "tps_synchronous_replication": [],
        "partitions": 300, "client_connections": 3000, "consumer_groups": 60, "advised_traffic_mb_per_s": 70,
        "storage_gb_min": 600, "storage_gb_max": 90000, "price_per_month": "1300.00", "price_per_hour": "2.71",
        "available": true})
}

fn money(amount: &str) -> Value {
    json!({"amount": amount, "currency": "CNY"})
}

fn lines() -> Value {
    json!([
        {"item": "instance", "title": "kafka.100", "quantity": 1, "unit_price": money("2.71"), "discount_percent": 0,
            "amount": money("2.71")},
        {"item": "storage", "title": "high I/O", "quantity": 600, "unit_price": money("0.0013"),
            "discount_percent": 0, "amount": money("0.78")}
    ])
}

pub fn quote() -> Value {
    json!({"id": QUOTE, "spec": "kafka.100", "storage_gb": 600, "usable_storage_gb": 470, "disk_type": "high",
        "zones": ["local-1a", "local-1b", "local-1c"], "billing": "hourly", "months": null, "lines": lines(),
        "total": money("3.49"), "per": "hour", "in_stock": true, "sold_out_zones": [], "valid_until": TIME,
        "created_at": TIME})
}

pub fn instance(name: &str, state: &str) -> Value {
    json!({"id": INSTANCE, "project_id": PROJECT, "name": name, "description": "", "labels": {"env": "prod"},
        "state": state, "state_reason": null, "allowed_actions": ["delete"], "kafka_version": "4.3.1",
        "region": "local-1", "zones": ["local-1a", "local-1b", "local-1c"], "spec": spec(), "storage_gb": 600,
        "usable_storage_gb": 470, "disk_type": "high", "capacity_policy": "auto-delete", "auto_create_topics": true,
        "deletion_protection": false,
        "billing": {"mode": "hourly", "months": null, "price": money("3.49"), "per": "hour", "order_id": ORDER},
        "bootstrap": {"private_plaintext": "127.1.0.1:9092", "private_sasl_ssl": "127.1.0.1:9093"},
        "brokers": [{"id": 0, "zone": "local-1a", "host": "127.1.0.1", "state": "ready"}],
        "active_job_id": null, "created_at": TIME, "updated_at": TIME, "etag": "1"})
}

/// A job of two steps, of which `done` are done.
pub fn job(state: &str, done: u32) -> Value {
    let step = |at: u32, name: &str, title: &str| {
        let state = match at.cmp(&done) {
            std::cmp::Ordering::Less => "succeeded",
            std::cmp::Ordering::Equal if state == "running" => "running",
            _ => "pending",
        };
        json!({"name": name, "title": title, "state": state, "started_at": null, "ended_at": null, "detail": null,
            "attempts": 1})
    };
    let result = match state {
        "succeeded" => json!({"user": "app"}),
        _ => Value::Null,
    };
    let problem = match state {
        "failed" => json!({"code": "broker-not-ready", "detail": "broker 2 did not start", "step": "start"}),
        _ => Value::Null,
    };
    json!({"id": JOB, "project_id": PROJECT, "kind": "instance-create", "title": "Create orders",
        "resource": {"type": "instance", "id": INSTANCE, "name": "orders"}, "state": state,
        "progress_percent": done * 50, "eta_seconds": 12,
        "steps": [step(0, "place", "Place brokers"), step(1, "start", "Start brokers")], "params": {},
        "result": result, "secrets_waiting": state == "succeeded", "problem": problem, "actor": "user:alice@example.com", "cancellable": true,
        "retryable": false, "created_at": TIME, "started_at": null, "ended_at": null, "etag": "1"})
}

pub fn tokens(number: usize) -> Value {
    json!({"access_token": format!("access-{number}"), "token_type": "Bearer", "expires_in": 900,
        "refresh_token": format!("refresh-{number}")})
}

/// What every script answers alike; anything it does not know is not found.
pub fn standard(request: &Request) -> Reply {
    match request.line().as_str() {
        "GET /v1/me" => Reply::json(200, &me()),
        "GET /v1/projects" => Reply::page(&[project("default")]),
        "GET /v1/specs" => Reply::page(&[spec()]),
        _ => Reply::problem(404, "not-found"),
    }
}

pub fn member() -> Value {
    json!({"user_id": "usr_01jd9mz5w8e4wahj8k6t3v2q7y", "email": "bob@example.com", "display_name": "Bob",
        "role": "viewer", "created_at": TIME})
}

pub const KEY: &str = "key_01jd9mz5w8e4wahj8k6t3v2q7z";

pub fn service_account() -> Value {
    json!({"id": "sva_01jd9mz5w8e4wahj8k6t3v2q80", "project_id": PROJECT, "name": "ci", "role": "developer",
        "description": "", "created_at": TIME, "etag": "1",
        "keys": [{"id": KEY, "description": "", "hint": "slk_ab", "scopes": [], "expires_at": null,
            "last_used_at": null, "created_at": TIME}]})
}

pub fn failed_creation() -> Value {
    json!({"id": INSTANCE, "name": "broken", "spec": "kafka.100", "zones": ["local-1a"], "job_id": JOB,
        "cause": "broker 2 did not start", "created_at": TIME, "failed_at": TIME})
}

pub fn kafka_user() -> Value {
    json!({"name": "shop", "disabled": false, "created_by": null, "created_at": TIME, "updated_at": TIME, "etag": "r1"})
}

pub fn topic() -> Value {
    json!({"name": "clicks", "partition_count": 1, "replicas": 3, "internal": false, "under_replicated": 1, "leaderless": 0,
        "partitions": [{"partition": 0, "leader": 1, "replicas": [1, 2, 3], "in_sync_replicas": [1, 2]}],
        "config": {"retention.ms": "1000"}})
}

const CERTIFICATE: &str = "crt_01jd9mz5w8e4wahj8k6t3v2q81";

pub fn certificate() -> Value {
    let earlier = json!({"id": CERTIFICATE, "source": "own", "reason": "uploaded", "subject": "CN=kafka", "issuer": "CN=Acme Root",
        "serial": "4d", "fingerprint_sha256": "ab", "valid_until": TIME, "notices": [], "created_by": "bob@example.com",
        "created_at": TIME, "job_id": JOB, "replaced_at": TIME, "trusted_until": TIME});
    json!({"id": CERTIFICATE, "source": "platform", "reason": "rotated", "subject": "CN=sluice-kafka",
        "issuer": "CN=Sluice platform CA", "serial": "4c", "fingerprint_sha256": "cd", "key": "ECDSA P-256",
        "names": ["127.1.0.1"], "uncovered": [], "valid_from": TIME, "valid_until": TIME, "days_left": 819,
        "renews_at": TIME, "chain_pem": "", "trust": [trust(Value::Null)], "notices": [], "created_by": null,
        "created_at": TIME, "job_id": null, "history": [earlier], "etag": CERTIFICATE})
}

fn trust(until: Value) -> Value {
    json!({"subject": "CN=Acme Root", "fingerprint_sha256": "ef", "valid_until": TIME, "trusted_until": until})
}

/// Of a change that clients must be prepared for.
pub fn certificate_plan() -> Value {
    json!({"checks": [{"code": "clients-must-trust", "severity": "warning", "detail": "clients must trust CN=Acme Root"}],
        "changes": [], "source": "own", "serial": "4d", "subject": "CN=kafka", "issuer": "CN=Acme Root",
        "key": "RSA 2048", "names": ["127.1.0.1"], "uncovered": [], "valid_from": TIME, "valid_until": TIME,
        "trust_pem": "", "trust": [trust(Value::Null)], "steps": [], "eta_seconds": 2})
}

pub const METRICS: &str = r#"# HELP sluice_node_connections_refused_total Client connections refused, by reason.
# TYPE sluice_node_connections_refused_total counter
sluice_node_connections_refused_total{broker="1",instance_id="ins_01jd9mz5w8e4wahj8k6t3v2q7s",path="private-plaintext",reason="idle"} 0
sluice_node_connections_refused_total{broker="1",instance_id="ins_01jd9mz5w8e4wahj8k6t3v2q7s",path="private-plaintext",reason="kicked"} 7
# TYPE sluice_node_up gauge
sluice_node_up{broker="1",instance_id="ins_01jd9mz5w8e4wahj8k6t3v2q7s"} 1
sluice_node_up{broker="2",instance_id="ins_01jd9mz5w8e4wahj8k6t3v2q7s"} 0
"#;
