//! Quotas of an instance's clients. Kafka keeps those of users and client ids, the gateways those of addresses and topics: on each
//! broker for itself.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Most rules of one request.
pub const MAX_RULES: usize = 100;

/// Whom a rule is for: a user, a client id, or one of each; or an IP address, alone; or a topic, alone. A `default_…` part stands for all that have no
/// rule of their own; each of them has the figure for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaEntity {
    /// Kafka user, 1 to 255 characters; `ANONYMOUS` is who comes in without a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples("shop"))]
    pub user: Option<String>,
    /// Every user without a rule of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_user: bool,
    /// `client.id`, 1 to 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Every client id without a rule of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_client_id: bool,
    /// One address that clients connect from, IPv4 or IPv6; behind a balancer the client's, not the balancer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Every address without a rule of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_ip: bool,
    /// One topic, by its exact name, whether it exists or not: all clients share the figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

/// What a rule allows. Kafka counts on each broker for itself, but `controller_mutation_rate`, which holds for the instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaLimits {
    /// Bytes a second produced to one broker; 20 000 to 10^12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples(1_000_000))]
    pub producer_byte_rate: Option<u64>,
    /// Bytes a second consumed from one broker; 20 000 to 10^12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_byte_rate: Option<u64>,
    /// Time of one broker's threads, in percent of one thread; 1 to 10 000. Everything that the client asks for counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_percentage: Option<f64>,
    /// Partitions made or deleted a second, in the whole instance; 0.1 to 10 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_mutation_rate: Option<f64>,
    /// Connections a second that an address opens to one broker; 1 to 10 000. The only figure of addresses, and of nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_creation_rate: Option<u32>,
}

/// One of the figures of [`QuotaLimits`], by its name there, which is Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuotaKey {
    ProducerByteRate,
    ConsumerByteRate,
    RequestPercentage,
    ControllerMutationRate,
    ConnectionCreationRate,
}

impl QuotaKey {
    pub const ALL: [Self; 5] = [
        Self::ProducerByteRate,
        Self::ConsumerByteRate,
        Self::RequestPercentage,
        Self::ControllerMutationRate,
        Self::ConnectionCreationRate,
    ];
}

/// A rule, as it is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaRule {
    pub entity: QuotaEntity,
    pub limits: QuotaLimits,
}

/// Rules to be set. Figures that a rule has and that are not named here stay.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetClientQuotas {
    /// 1 to 100, of different entities.
    pub rules: Vec<QuotaRule>,
}

/// A rule, with what it comes to over the instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClientQuota {
    pub entity: QuotaEntity,
    /// On one broker; of `controller_mutation_rate` in the instance.
    pub limits: QuotaLimits,
    /// On all brokers together: reached only by who uses all of them.
    pub limits_over_all: QuotaLimits,
}

/// In a list: rules that have every part that is named, whatever else they have. In a deletion: the rule of exactly these parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QuotaFilter {
    /// Kafka user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `true`: every user without a rule of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_user: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `true`: every client id without a rule of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_client_id: Option<bool>,
    /// Address of clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// `true`: every address without a rule of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_ip: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Rules that limit this; in a deletion only this figure goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub key: Option<QuotaKey>,
}

/// The client to explain quotas for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QuotaClient {
    /// Kafka user; `ANONYMOUS`, who comes in without a login, when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `client.id`; a client that gives none when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Its address; any without a rule of its own when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Topic that it produces to and consumes from; one without a rule when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

/// Who shares a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaShare {
    /// All connections of this user with this client id.
    UserAndClientId,
    /// All connections of this user, whatever their client ids.
    User,
    /// All connections with this client id, whatever their users.
    ClientId,
    /// All connections of this address.
    Ip,
}

/// What holds a client back in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaDecider {
    /// The rule that wins.
    Rule,
    /// The rule of the topic, which holds beside it.
    Topic,
    /// The broker's share of the bandwidth that was bought, which all clients share.
    Bandwidth,
    /// No rule holds, and no other limit counts here.
    Nothing,
}

/// What a client may do, and why.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EffectiveQuotas {
    pub user: String,
    pub client_id: String,
    /// As asked for, IPv4 where an IPv4 address came in IPv6 form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// How many brokers each keep the figures for themselves.
    pub brokers: u32,
    pub limits: Vec<EffectiveLimit>,
}

/// One figure that holds for a client.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EffectiveLimit {
    pub key: QuotaKey,
    /// The rule that wins, and its figure; none when no rule holds.
    pub rule: Option<MatchingRule>,
    /// Who shares the figure; none when no rule holds.
    pub shared_by: Option<QuotaShare>,
    /// Rules that would hold as well and are more general, in Kafka's order.
    pub overruled: Vec<MatchingRule>,
    /// The rule of the topic, which holds beside it and is shared by all clients; of byte rates only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_rule: Option<MatchingRule>,
    /// A broker's share of the bandwidth that was bought, bytes a second; of byte rates only.
    pub bandwidth_share: Option<u64>,
    /// The smallest of them, on one broker; of `controller_mutation_rate` in the instance. None: no limit.
    pub effective: Option<f64>,
    /// The same on all brokers together.
    pub effective_over_all: Option<f64>,
    pub decided_by: QuotaDecider,
    /// All of it in words.
    pub explanation: String,
}

/// A rule that fits a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MatchingRule {
    pub entity: QuotaEntity,
    pub limit: f64,
}
