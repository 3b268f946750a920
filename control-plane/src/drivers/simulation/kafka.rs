//! [`KafkaControl`] of a simulated world.

use super::{
    Simulation,
    faults::{Operation, Severity},
    world::{Failure, Kafka, State, World},
};
use crate::{
    domain::{acl::is_platform, client_quota},
    kafka::{Cluster, Credentials, KafkaControl, KafkaError, PlatformBindings, platform_bindings},
};
use async_trait::async_trait;
use broker_api::topics::NewTopic;
use control_plane_api::{
    access::Access,
    acl::{AclBinding, AclPermission},
    client_quota::{QuotaLimits, QuotaRule},
    id::InstanceId,
    topic::{Topic, TopicPartition, TopicSummary},
};
use std::collections::{BTreeMap, BTreeSet};

fn as_kafka_error(operation: &'static str) -> impl FnOnce(Failure) -> KafkaError {
    move |Failure { severity, reason }| match severity {
        Severity::Transient => KafkaError::Transient { operation, reason },
        Severity::Permanent => KafkaError::Permanent { operation, reason },
    }
}

fn transient(reason: &str) -> Failure {
    Failure { severity: Severity::Transient, reason: reason.to_owned() }
}

/// The instance whose brokers stand at these addresses, and how many of them serve.
fn serving(state: &State, world: &World, cluster: &Cluster) -> Result<(InstanceId, usize), Failure> {
    let nodes = cluster.internal.iter().filter_map(|address| state.by_address.get(&address.ip()));
    let up: Vec<InstanceId> = nodes
        .filter(|node| {
            let broken = state.broken.contains_key(&node.node_id);
            state.nodes.get(node).is_some_and(|held| held.alive && !broken && world.clock.now() >= held.ready_at)
        })
        .map(|node| node.instance)
        .collect();
    match up.first() {
        Some(&instance) if up.iter().all(|other| *other == instance) => Ok((instance, up.len())),
        Some(_) => Err(Failure { severity: Severity::Permanent, reason: "brokers of several clusters".to_owned() }),
        None => Err(transient("no broker answers")),
    }
}

fn kafka<'a>(state: &'a mut State, world: &World, cluster: &Cluster) -> Result<&'a mut Kafka, Failure> {
    let (instance, _) = serving(state, world, cluster)?;
    Ok(state.kafka.entry(instance).or_default())
}

fn put(bindings: &mut BTreeSet<AclBinding>, present: &[AclBinding], absent: &[AclBinding]) {
    bindings.extend(present.iter().cloned());
    bindings.retain(|binding| !absent.contains(binding));
}

/// As brokers would show it: replicas in a ring, all in sync.
fn shown(name: &str, topic: &NewTopic, brokers: i32) -> Topic {
    let replicas = |partition: i32| (0..i32::from(topic.replicas)).map(move |n| (partition + n) % brokers + 1);
    let partitions = (0..topic.partitions.cast_signed()).map(|partition| TopicPartition {
        partition,
        leader: replicas(partition).next(),
        replicas: replicas(partition).collect(),
        in_sync_replicas: replicas(partition).collect(),
    });
    let summary = TopicSummary {
        name: name.to_owned(),
        partition_count: topic.partitions,
        replicas: topic.replicas.into(),
        internal: false,
        under_replicated: 0,
        leaderless: 0,
    };
    Topic { summary, partitions: partitions.collect(), config: topic.config.clone() }
}

fn topics(state: &mut State, world: &World, cluster: &Cluster) -> Result<Vec<Topic>, Failure> {
    let brokers = i32::try_from(cluster.internal.len()).unwrap_or(1);
    let topics = kafka(state, world, cluster)?.topics.iter();
    let offsets = NewTopic { partitions: 50, replicas: 3, config: BTreeMap::new() };
    let mut offsets = shown("__consumer_offsets", &offsets, brokers);
    offsets.summary.internal = true;
    Ok(topics.map(|(name, topic)| shown(name, topic, brokers)).chain([offsets]).collect())
}

#[async_trait]
impl KafkaControl for Simulation {
    async fn ready(&self, cluster: &Cluster, brokers: usize) -> Result<bool, KafkaError> {
        let ready = |state: &mut State, world: &World| Ok(serving(state, world, cluster)?.1 >= brokers);
        self.world.operate(Operation::KafkaReady, ready).await.map_err(as_kafka_error("describe cluster"))
    }

    async fn bind_platform_acls(&self, cluster: &Cluster, access: &Access) -> Result<(), KafkaError> {
        let PlatformBindings { present, absent } = platform_bindings(access);
        let bind = |state: &mut State, world: &World| {
            put(&mut kafka(state, world, cluster)?.bindings, &present, &absent);
            Ok(())
        };
        self.world.operate(Operation::BindAcls, bind).await.map_err(as_kafka_error("create bindings"))
    }

    async fn acls(&self, cluster: &Cluster) -> Result<Vec<AclBinding>, KafkaError> {
        let read = |state: &mut State, world: &World| {
            let bindings = kafka(state, world, cluster)?.bindings.iter();
            Ok(bindings.filter(|binding| !is_platform(binding)).cloned().collect())
        };
        self.world.operate(Operation::ReadAcls, read).await.map_err(as_kafka_error("describe bindings"))
    }

    async fn put_acls(
        &self,
        cluster: &Cluster,
        present: &[AclBinding],
        absent: &[AclBinding],
    ) -> Result<(), KafkaError> {
        let change = |state: &mut State, world: &World| {
            put(&mut kafka(state, world, cluster)?.bindings, present, absent);
            Ok(())
        };
        self.world.operate(Operation::PutAcls, change).await.map_err(as_kafka_error("change bindings"))
    }

    async fn shield_platform(&self, cluster: &Cluster) -> Result<(), KafkaError> {
        let shield = |state: &mut State, world: &World| {
            kafka(state, world, cluster)?.shielded = true;
            Ok(())
        };
        self.world.operate(Operation::ShieldPlatform, shield).await.map_err(as_kafka_error("alter quotas"))
    }

    async fn client_quotas(&self, cluster: &Cluster) -> Result<Vec<QuotaRule>, KafkaError> {
        let read = |state: &mut State, world: &World| {
            let quotas = kafka(state, world, cluster)?.quotas.iter();
            Ok(quotas.map(|(entity, limits)| QuotaRule { entity: entity.clone(), limits: *limits }).collect())
        };
        self.world.operate(Operation::ReadQuotas, read).await.map_err(as_kafka_error("describe quotas"))
    }

    async fn put_client_quotas(
        &self,
        cluster: &Cluster,
        set: &[QuotaRule],
        remove: &[QuotaRule],
    ) -> Result<(), KafkaError> {
        let put = |state: &mut State, world: &World| {
            let quotas = &mut kafka(state, world, cluster)?.quotas;
            for (rules, is_set) in [(set, true), (remove, false)] {
                for rule in rules {
                    let limits = quotas.entry(rule.entity.clone()).or_default();
                    for (key, value) in client_quota::figures(&rule.limits) {
                        client_quota::set_limit(limits, key, is_set.then_some(value));
                    }
                }
            }
            quotas.retain(|_, limits| *limits != QuotaLimits::default());
            Ok(())
        };
        self.world.operate(Operation::PutQuotas, put).await.map_err(as_kafka_error("alter quotas"))
    }

    async fn topics(&self, cluster: &Cluster) -> Result<Vec<TopicSummary>, KafkaError> {
        let read = |state: &mut State, world: &World| topics(state, world, cluster);
        let found = self.world.operate(Operation::ReadTopics, read).await.map_err(as_kafka_error("list topics"))?;
        Ok(found.into_iter().map(|topic| topic.summary).collect())
    }

    async fn topic(&self, cluster: &Cluster, name: &str) -> Result<Option<Topic>, KafkaError> {
        let read = |state: &mut State, world: &World| topics(state, world, cluster);
        let found = self.world.operate(Operation::ReadTopics, read).await.map_err(as_kafka_error("read a topic"))?;
        Ok(found.into_iter().find(|topic| topic.summary.name == name))
    }

    async fn put_user(&self, cluster: &Cluster, credentials: &Credentials) -> Result<(), KafkaError> {
        let put = |state: &mut State, world: &World| {
            let users = &mut kafka(state, world, cluster)?.users;
            users.insert(credentials.user.clone(), credentials.password.clone());
            Ok(())
        };
        self.world.operate(Operation::PutUser, put).await.map_err(as_kafka_error("put user"))
    }

    async fn delete_user(&self, cluster: &Cluster, user: &str) -> Result<(), KafkaError> {
        let delete = |state: &mut State, world: &World| {
            kafka(state, world, cluster)?.users.remove(user);
            Ok(())
        };
        self.world.operate(Operation::DeleteUser, delete).await.map_err(as_kafka_error("delete user"))
    }

    async fn canary(&self, cluster: &Cluster, credentials: &Credentials) -> Result<(), KafkaError> {
        let send = |state: &mut State, world: &World| {
            if state.lost_canaries {
                return Err(transient("the message was not read back"));
            }
            let kafka = kafka(state, world, cluster)?;
            if kafka.users.get(&credentials.user) != Some(&credentials.password) {
                return Err(transient("the user cannot sign in"));
            }
            let writes = |binding: &AclBinding| binding.permission == AclPermission::Allow;
            if !kafka.bindings.iter().any(writes) {
                return Err(transient("the user may not write"));
            }
            kafka.canaries += 1;
            Ok(())
        };
        self.world.operate(Operation::Canary, send).await.map_err(as_kafka_error("canary"))
    }
}
