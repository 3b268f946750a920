//! How each resource of the API looks in a table.

use super::{Column, Row, bytes, col, dash, duration, enum_text, money, or_dash, time, time_or_dash, wide};
use control_plane_api::{
    acl::AclBinding,
    audit::AuditEvent,
    auth::{ApiKey, ServiceAccount},
    catalogue::{DiskType, KafkaVersion, Region, Spec, Zone, ZoneRoom},
    client_connections::ClientConnection,
    client_quota::ClientQuota,
    instance::{Bootstrap, FailedCreation, Instance},
    job::Job,
    kafka_user::KafkaUser,
    metrics::MetricSample,
    problem::ErrorDoc,
    tenancy::{Member, Project, Quota},
    topic::{Topic, TopicPartition, TopicSummary},
};
use std::collections::BTreeMap;

impl Row for Spec {
    const COLUMNS: &'static [Column<Self>] = &[
        col("SPEC", |s| s.name.clone()),
        col("MB/S", |s| s.bandwidth_mb_per_s.to_string()),
        col("BROKERS", |s| s.brokers.to_string()),
        col("BROKER SIZE", |s| format!("{} vCPU {} GiB", s.broker_vcpus, s.broker_memory_gib)),
        col("DISKS", |s| s.disk_types.join(",")),
        col("STORAGE GB", |s| format!("{}-{}", s.storage_gb_min, s.storage_gb_max)),
        col("PARTITIONS", |s| s.partitions.to_string()),
        col("CONNECTIONS", |s| s.client_connections.to_string()),
        wide("GROUPS", |s| s.consumer_groups.to_string()),
        wide("TPS", |s| s.tps_high_throughput.to_string()),
        wide("ADVISED MB/S", |s| s.advised_traffic_mb_per_s.to_string()),
        col("CNY/MONTH", |s| s.price_per_month.to_string()),
        col("CNY/HOUR", |s| s.price_per_hour.to_string()),
        wide("AVAILABLE", |s| yes(s.available)),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Row for MetricSample {
    const COLUMNS: &'static [Column<Self>] = &[
        col("METRIC", |m| m.name.clone()),
        col("BROKER", |m| or_dash(&m.labels.get("broker"))),
        col("LABELS", |m| {
            let others = m.labels.iter().filter(|(label, _)| !matches!(label.as_str(), "broker" | "instance_id"));
            list(others.map(|(label, value)| format!("{label}={value}")))
        }),
        col("VALUE", |m| m.value.clone()),
    ];

    fn name(&self) -> String {
        self.series().to_string()
    }
}

impl Row for Region {
    const COLUMNS: &'static [Column<Self>] = &[
        col("REGION", |r| r.name.clone()),
        col("TITLE", |r| r.title.clone()),
        col("ZONES", |r| list(r.zones.iter().map(|zone| zone.name.as_str()))),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Row for Zone {
    const COLUMNS: &'static [Column<Self>] = &[
        col("ZONE", |z| z.name.clone()),
        col("REGION", |z| z.region.clone()),
        col("SOLD OUT", |z| list(z.sold_out_specs.iter().map(String::as_str))),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Row for DiskType {
    const COLUMNS: &'static [Column<Self>] = &[
        col("DISK", |d| d.name.clone()),
        col("TITLE", |d| d.title.clone()),
        col("LATENCY MS", |d| d.latency_ms.clone()),
        col("MB/S", |d| d.throughput_mb_per_s.to_string()),
        col("CNY/GB/MONTH", |d| d.price_per_gb_month.to_string()),
        col("CNY/GB/HOUR", |d| d.price_per_gb_hour.to_string()),
        wide("AVAILABLE", |d| yes(d.available)),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Row for KafkaVersion {
    const COLUMNS: &'static [Column<Self>] = &[
        col("VERSION", |v| v.version.clone()),
        col("DEFAULT", |v| yes(v.default)),
        col("OLDEST CLIENT", |v| v.oldest_client.clone()),
        wide("AVAILABLE", |v| yes(v.available)),
    ];

    fn name(&self) -> String {
        self.version.clone()
    }
}

impl Row for ZoneRoom {
    const COLUMNS: &'static [Column<Self>] = &[
        col("ZONE", |z| z.zone.clone()),
        col("VCPUS", |z| format!("{} of {}", z.vcpus_used, z.vcpus_total)),
        col("MEMORY GIB", |z| format!("{} of {}", z.memory_gib_used, z.memory_gib_total)),
        col("STORAGE GB", |z| format!("{} of {}", z.storage_gb_used, z.storage_gb_total)),
        wide("UPDATED", |z| time(&z.updated_at)),
    ];

    fn name(&self) -> String {
        self.zone.clone()
    }
}

impl Row for Project {
    const COLUMNS: &'static [Column<Self>] = &[
        col("NAME", |p| p.name.clone()),
        col("ID", |p| p.id.to_string()),
        col("DESCRIPTION", |p| p.description.clone()),
        col("CREATED", |p| time(&p.created_at)),
        wide("UPDATED", |p| time(&p.updated_at)),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Row for Member {
    const COLUMNS: &'static [Column<Self>] = &[
        col("EMAIL", |m| m.email.clone()),
        col("NAME", |m| m.display_name.clone()),
        col("ROLE", |m| enum_text(&m.role)),
        wide("ID", |m| m.user_id.to_string()),
        col("SINCE", |m| time(&m.created_at)),
    ];

    fn name(&self) -> String {
        self.email.clone()
    }
}

impl Row for ServiceAccount {
    const COLUMNS: &'static [Column<Self>] = &[
        col("NAME", |a| a.name.clone()),
        col("ID", |a| a.id.to_string()),
        col("ROLE", |a| enum_text(&a.role)),
        col("KEYS", |a| a.keys.len().to_string()),
        col("DESCRIPTION", |a| a.description.clone()),
        col("CREATED", |a| time(&a.created_at)),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Row for ApiKey {
    const COLUMNS: &'static [Column<Self>] = &[
        col("ID", |k| k.id.to_string()),
        col("HINT", |k| k.hint.clone()),
        col("DESCRIPTION", |k| k.description.clone()),
        wide("SCOPES", |k| if k.scopes.is_empty() { "all".to_owned() } else { k.scopes.join(",") }),
        col("EXPIRES", |k| k.expires_at.as_ref().map_or_else(|| "never".to_owned(), time)),
        col("LAST USED", |k| time_or_dash(&k.last_used_at)),
        col("CREATED", |k| time(&k.created_at)),
    ];

    fn name(&self) -> String {
        self.id.to_string()
    }
}

impl Row for Quota {
    const COLUMNS: &'static [Column<Self>] =
        &[col("QUOTA", |q| q.name.clone()), col("USED", |q| q.used.to_string()), col("LIMIT", |q| q.limit.to_string())];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Row for KafkaUser {
    const COLUMNS: &'static [Column<Self>] = &[
        col("NAME", |u| u.name.clone()),
        col("DISABLED", |u| yes(u.disabled)),
        col("CREATED BY", |u| or_dash(&u.created_by)),
        col("CREATED", |u| time(&u.created_at)),
        wide("CHANGED", |u| time(&u.updated_at)),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Row for TopicSummary {
    const COLUMNS: &'static [Column<Self>] = &[
        col("TOPIC", |t| t.name.clone()),
        col("PARTITIONS", |t| t.partition_count.to_string()),
        col("REPLICAS", |t| t.replicas.to_string()),
        col("UNDER-REPLICATED", |t| t.under_replicated.to_string()),
        col("LEADERLESS", |t| t.leaderless.to_string()),
        wide("INTERNAL", |t| yes(t.internal)),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Row for Topic {
    const COLUMNS: &'static [Column<Self>] = &[
        col("TOPIC", |t| t.summary.name.clone()),
        col("PARTITIONS", |t| t.summary.partition_count.to_string()),
        col("REPLICAS", |t| t.summary.replicas.to_string()),
        col("SETTINGS", |t| settings(t).join(",")),
    ];

    fn name(&self) -> String {
        self.summary.name.clone()
    }

    fn details(&self) -> Vec<(String, String)> {
        let summary = &self.summary;
        let mut details = vec![
            ("Topic".to_owned(), summary.name.clone()),
            ("Partitions".to_owned(), summary.partition_count.to_string()),
            ("Replicas".to_owned(), summary.replicas.to_string()),
        ];
        if summary.internal {
            details.push(("Internal".to_owned(), "Kafka's own".to_owned()));
        }
        details.push(("Settings".to_owned(), if self.config.is_empty() { dash() } else { settings(self).join("\n") }));
        details.extend(self.partitions.iter().map(|one| (format!("Partition {}", one.partition), places(one))));
        details
    }
}

fn settings(topic: &Topic) -> Vec<String> {
    topic.config.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// `leader 1, replicas 1,2,3, in sync 1,2`.
fn places(partition: &TopicPartition) -> String {
    let ids = |brokers: &[i32]| brokers.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let in_sync = ids(&partition.in_sync_replicas);
    format!("leader {}, replicas {}, in sync {in_sync}", or_dash(&partition.leader), ids(&partition.replicas))
}

impl Row for AclBinding {
    const COLUMNS: &'static [Column<Self>] = &[
        col("PRINCIPAL", |b| b.principal.clone()),
        col("PERMISSION", |b| enum_text(&b.permission)),
        col("OPERATION", |b| enum_text(&b.operation)),
        col("RESOURCE", |b| enum_text(&b.resource_type)),
        col("NAME", |b| b.resource_name.clone()),
        col("PATTERN", |b| enum_text(&b.pattern_type)),
        wide("HOST", |b| b.host.clone()),
    ];

    fn name(&self) -> String {
        self.resource_name.clone()
    }
}

impl Row for ClientQuota {
    const COLUMNS: &'static [Column<Self>] = &[
        col("USER", |q| part(&q.entity.user, q.entity.default_user)),
        col("CLIENT ID", |q| part(&q.entity.client_id, q.entity.default_client_id)),
        col("IP", |q| part(&q.entity.ip, q.entity.default_ip)),
        col("TOPIC", |q| or_dash(&q.entity.topic)),
        col("PRODUCE", |q| rates(q.limits.producer_byte_rate, q.limits_over_all.producer_byte_rate)),
        col("CONSUME", |q| rates(q.limits.consumer_byte_rate, q.limits_over_all.consumer_byte_rate)),
        col("REQUESTS", |q| q.limits.request_percentage.map_or_else(dash, |percent| format!("{percent} %"))),
        col("MUTATIONS", |q| q.limits.controller_mutation_rate.map_or_else(dash, |rate| format!("{rate}/s"))),
        col("CONNECTIONS", |q| {
            q.limits.connection_creation_rate.map_or_else(dash, |rate| format!("{rate}/s a broker"))
        }),
    ];

    fn name(&self) -> String {
        [&self.entity.user, &self.entity.client_id, &self.entity.ip, &self.entity.topic]
            .into_iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join("/")
    }
}

/// Of whom a quota is.
fn part(name: &Option<String>, default: bool) -> String {
    if default { "(every other)".to_owned() } else { or_dash(name) }
}

/// On one broker, and on all.
fn rates(broker: Option<u64>, all: Option<u64>) -> String {
    match (broker, all) {
        (Some(broker), Some(all)) => format!("{}/s a broker, {}/s in all", bytes(broker), bytes(all)),
        _ => dash(),
    }
}

impl Row for Instance {
    const COLUMNS: &'static [Column<Self>] = &[
        col("NAME", |i| i.name.clone()),
        col("ID", |i| i.id.to_string()),
        col("STATE", |i| enum_text(&i.state)),
        col("SPEC", |i| i.spec.name.clone()),
        col("KAFKA", |i| i.kafka_version.clone()),
        col("ZONES", |i| i.zones.join(",")),
        col("STORAGE", |i| format!("{} GB {}", i.storage_gb, i.disk_type)),
        wide("PRICE", |i| format!("{} / {}", money(&i.billing.price), i.billing.per)),
        wide("SASL_SSL", |i| address(&i.bootstrap.private_sasl_ssl)),
        wide("PLAINTEXT", |i| address(&i.bootstrap.private_plaintext)),
        wide("LABELS", |i| labels(&i.labels)),
        col("CREATED", |i| time(&i.created_at)),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn details(&self) -> Vec<(String, String)> {
        let brokers: Vec<_> =
            self.brokers.iter().map(|b| format!("{}  {}  {}  {}", b.id, b.zone, b.host, b.state)).collect();
        let mut details: Vec<(&str, String)> =
            vec![("Name", self.name.clone()), ("Id", self.id.to_string()), ("State", enum_text(&self.state))];
        if let Some(reason) = &self.state_reason {
            details.push(("Reason", reason.clone()));
        }
        if let Some(job) = &self.active_job_id {
            details.push(("Job", job.to_string()));
        }
        details.extend([
            ("Kafka", self.kafka_version.clone()),
            (
                "Spec",
                format!("{} ({} MB/s, {} brokers)", self.spec.name, self.spec.bandwidth_mb_per_s, self.spec.brokers),
            ),
            ("Zones", self.zones.join(", ")),
            ("Storage", format!("{} GB {}, {} GB usable", self.storage_gb, self.disk_type, self.usable_storage_gb)),
            (
                "Billing",
                format!("{}, {} / {}", enum_text(&self.billing.mode), money(&self.billing.price), self.billing.per),
            ),
            ("SASL_SSL", address(&self.bootstrap.private_sasl_ssl)),
            ("Plaintext", address(&self.bootstrap.private_plaintext)),
            ("Public SASL_SSL", address(&self.bootstrap.public_sasl_ssl)),
            ("Public plaintext", address(&self.bootstrap.public_plaintext)),
            ("Across networks", address(&self.bootstrap.cross_network)),
            (
                "Limits",
                format!(
                    "{} partitions, {} connections, {} groups",
                    self.spec.partitions, self.spec.client_connections, self.spec.consumer_groups
                ),
            ),
            ("Brokers", if brokers.is_empty() { dash() } else { brokers.join("\n") }),
            ("Full disk", enum_text(&self.capacity_policy)),
            ("Protected", yes(self.deletion_protection)),
            ("Labels", labels(&self.labels)),
            ("Description", if self.description.is_empty() { dash() } else { self.description.clone() }),
            ("Allowed", list(self.allowed_actions.iter().map(enum_text))),
            ("Created", time(&self.created_at)),
            ("Updated", time(&self.updated_at)),
        ]);
        details.into_iter().map(|(label, text)| (label.to_owned(), text)).collect()
    }
}

impl Row for FailedCreation {
    const COLUMNS: &'static [Column<Self>] = &[
        col("NAME", |f| f.name.clone()),
        col("ID", |f| f.id.to_string()),
        col("SPEC", |f| f.spec.clone()),
        wide("ZONES", |f| f.zones.join(",")),
        wide("JOB", |f| or_dash(&f.job_id)),
        col("FAILED", |f| time(&f.failed_at)),
        col("CAUSE", |f| f.cause.clone()),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Row for Job {
    const COLUMNS: &'static [Column<Self>] = &[
        col("ID", |j| j.id.to_string()),
        col("KIND", |j| j.kind.clone()),
        col("OF", |j| j.resource.as_ref().map_or_else(dash, |resource| resource.name.clone())),
        col("STATE", |j| enum_text(&j.state)),
        col("DONE", |j| format!("{} %", j.progress_percent)),
        wide("LEFT", |j| j.eta_seconds.map_or_else(dash, duration)),
        wide("BY", |j| j.actor.clone()),
        col("CREATED", |j| time(&j.created_at)),
        col("ENDED", |j| time_or_dash(&j.ended_at)),
        wide("PROBLEM", |j| or_dash(&j.problem.as_ref().map(|problem| &problem.detail))),
    ];

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn details(&self) -> Vec<(String, String)> {
        let mut details: Vec<(&str, String)> = vec![
            ("Id", self.id.to_string()),
            ("Title", self.title.clone()),
            ("Kind", self.kind.clone()),
            ("State", enum_text(&self.state)),
            ("Done", format!("{} %", self.progress_percent)),
        ];
        if let Some(seconds) = self.eta_seconds {
            details.push(("Left", format!("about {}", duration(seconds))));
        }
        if let Some(resource) = &self.resource {
            details.push(("Of", format!("{} {} ({})", resource.kind, resource.name, resource.id)));
        }
        if let Some(problem) = &self.problem {
            let place = problem.step.as_ref().map_or_else(String::new, |step| format!(" at step {step}"));
            details.push(("Problem", format!("{} ({}{place})", problem.detail, problem.code)));
        }
        let steps: Vec<_> = crate::watch::changes::all_lines(self).map(|(_, line)| line).collect();
        details.extend([
            ("Steps", if steps.is_empty() { dash() } else { steps.join("\n") }),
            ("By", self.actor.clone()),
            ("Cancellable", yes(self.cancellable)),
            ("Retryable", yes(self.retryable)),
            ("Created", time(&self.created_at)),
            ("Started", time_or_dash(&self.started_at)),
            ("Ended", time_or_dash(&self.ended_at)),
        ]);
        details.into_iter().map(|(label, text)| (label.to_owned(), text)).collect()
    }
}

impl Row for ClientConnection {
    const COLUMNS: &'static [Column<Self>] = &[
        col("ID", |c| c.id.clone()),
        col("CLIENT", |c| format!("{}:{}", c.ip, c.port)),
        col("USER", |c| or_dash(&c.user)),
        wide("MECHANISM", |c| or_dash(&c.mechanism)),
        wide("CERTIFICATE UNTIL", |c| time_or_dash(&c.certificate.as_ref().map(|shown| shown.valid_until))),
        col("CLIENT ID", |c| or_dash(&c.client_id)),
        col("SOFTWARE", |c| match (&c.software_name, &c.software_version) {
            (Some(name), Some(version)) => format!("{name} {version}"),
            _ => dash(),
        }),
        col("BROKER", |c| c.broker_id.to_string()),
        wide("PATH", |c| c.path.clone()),
        col("IN", |c| c.bytes_in.to_string()),
        col("OUT", |c| c.bytes_out.to_string()),
        wide("REQUESTS", |c| c.requests.to_string()),
        col("SINCE", |c| time(&c.connected_at)),
        wide("ACTIVE", |c| time(&c.active_at)),
    ];

    fn name(&self) -> String {
        self.id.clone()
    }
}

impl Row for AuditEvent {
    const COLUMNS: &'static [Column<Self>] = &[
        col("AT", |a| time(&a.created_at)),
        col("ACTOR", |a| a.actor.clone()),
        col("ACTION", |a| a.action.clone()),
        col("RESULT", |a| a.result.clone()),
        col("RESOURCE", |a| or_dash(&a.resource_id)),
        wide("CODE", |a| or_dash(&a.problem_code)),
        wide("FROM", |a| or_dash(&a.source_ip)),
        wide("JOB", |a| or_dash(&a.job_id)),
        wide("REQUEST", |a| a.request_id.clone()),
        wide("ID", |a| a.id.to_string()),
    ];

    fn name(&self) -> String {
        self.id.to_string()
    }
}

impl Row for ErrorDoc {
    const COLUMNS: &'static [Column<Self>] = &[
        col("CODE", |e| e.code.as_str().to_owned()),
        col("STATUS", |e| e.status.to_string()),
        col("TITLE", |e| e.title.clone()),
        wide("CAUSE", |e| e.cause.clone()),
        wide("REMEDY", |e| e.remedy.clone()),
    ];

    fn name(&self) -> String {
        self.code.as_str().to_owned()
    }
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn address(text: &str) -> String {
    if text.is_empty() { dash() } else { text.to_owned() }
}

fn list<T: AsRef<str>>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<T> = items.collect();
    if items.is_empty() {
        return dash();
    }
    items.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",")
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    list(labels.iter().map(|(key, value)| format!("{key}={value}")))
}

/// Where clients begin by the ways beyond the private network that are open.
pub fn beyond(bootstrap: &Bootstrap) -> Vec<(&'static str, String)> {
    [
        ("Public SASL_SSL", &bootstrap.public_sasl_ssl),
        ("Public plaintext", &bootstrap.public_plaintext),
        ("Across networks", &bootstrap.cross_network),
    ]
    .into_iter()
    .filter(|(_, servers)| !servers.is_empty())
    .map(|(label, servers)| (label, servers.clone()))
    .collect()
}
