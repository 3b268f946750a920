//! Quotas: of the project, and of an instance's clients.

use super::acl::carry_out;
use crate::{
    args::{ListArgs, rate, word},
    client::{Doc, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    render::{bytes, table},
    resolve,
};
use clap::{Args, Subcommand};
use control_plane_api::{
    client_quota::{
        ClientQuota, EffectiveLimit, EffectiveQuotas, QuotaClient, QuotaEntity, QuotaFilter, QuotaKey, QuotaLimits,
        QuotaRule, SetClientQuotas,
    },
    instance::Instance,
    tenancy::Quota,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Quotas of an instance's clients; without an instance those of the project
    List(List),
    /// Set what clients may take: a rule of a user, a client id, or one of each; or of an address; or of a topic
    Set(Set),
    /// Delete a rule, or one figure of it
    Delete(Delete),
    /// Which rules hold for a client, and what they come to
    Explain(Explain),
}

#[derive(Debug, Args)]
pub struct List {
    /// Name or id of the instance
    instance: Option<String>,
    #[command(flatten)]
    entity: Entity,
    /// Rules that limit this: producer_byte_rate, consumer_byte_rate, request_percentage, controller_mutation_rate or
    /// connection_creation_rate
    #[arg(long, value_parser = word::<QuotaKey>)]
    key: Option<QuotaKey>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Args)]
pub struct Entity {
    /// Kafka user; ANONYMOUS for clients without a login
    #[arg(long, conflicts_with = "default_user")]
    user: Option<String>,
    /// Every user without a rule of its own
    #[arg(long)]
    default_user: bool,
    /// client.id
    #[arg(long, value_name = "ID", conflicts_with = "default_client_id")]
    client_id: Option<String>,
    /// Every client id without a rule of its own
    #[arg(long)]
    default_client_id: bool,
    /// Address of clients
    #[arg(long, conflicts_with = "default_ip")]
    ip: Option<String>,
    /// Every address without a rule of its own
    #[arg(long)]
    default_ip: bool,
    /// Topic, by its exact name; all clients share the figures
    #[arg(long)]
    topic: Option<String>,
}

impl Entity {
    fn is_empty(&self) -> bool {
        let names = [&self.user, &self.client_id, &self.ip, &self.topic];
        names.into_iter().all(Option::is_none) && !self.default_user && !self.default_client_id && !self.default_ip
    }

    fn filter(self, key: Option<QuotaKey>) -> QuotaFilter {
        QuotaFilter {
            user: self.user,
            default_user: self.default_user.then_some(true),
            client_id: self.client_id,
            default_client_id: self.default_client_id.then_some(true),
            ip: self.ip,
            default_ip: self.default_ip.then_some(true),
            topic: self.topic,
            key,
        }
    }
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name or id of the instance
    instance: String,
    #[command(flatten)]
    entity: Entity,
    /// Produced to one broker in a second: 500kB, 2MB
    #[arg(long, value_name = "BYTES", value_parser = rate)]
    produce: Option<u64>,
    /// Consumed from one broker in a second: 500kB, 2MB
    #[arg(long, value_name = "BYTES", value_parser = rate)]
    consume: Option<u64>,
    /// Time of one broker's threads, in percent of one thread
    #[arg(long, value_name = "PERCENT")]
    requests: Option<f64>,
    /// Partitions made or deleted a second, in the whole instance
    #[arg(long, value_name = "RATE")]
    mutations: Option<f64>,
    /// Connections a second that an address opens to one broker
    #[arg(long, value_name = "RATE")]
    connections: Option<u32>,
    /// Show what would change, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Delete {
    /// Name or id of the instance
    instance: String,
    #[command(flatten)]
    entity: Entity,
    /// Only this figure: producer_byte_rate, consumer_byte_rate, request_percentage, controller_mutation_rate or
    /// connection_creation_rate
    #[arg(long, value_parser = word::<QuotaKey>)]
    key: Option<QuotaKey>,
    /// Show what would go, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// Name or id of the instance
    instance: String,
    /// Kafka user; clients without a login when it is not given
    #[arg(long)]
    user: Option<String>,
    /// client.id
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Its address; any without a rule of its own when it is not given
    #[arg(long)]
    ip: Option<String>,
    /// Topic that it produces to and consumes from; one without a rule when it is not given
    #[arg(long)]
    topic: Option<String>,
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::List(list) => match list.instance {
            Some(instance) => {
                let (_, path) = path(ctx, &scope, &instance).await?;
                let call = Call::get(path).queries(&list.entity.filter(list.key))?;
                ctx.out.list(&ctx.client.list::<ClientQuota>(call, list.list.extent()).await?)
            }
            None if !list.entity.is_empty() || list.key.is_some() => {
                Err(Error::Usage("say of which instance".to_owned()))
            }
            None => ctx.out.list::<Quota>(&ctx.client.catalogue(&Call::get(scope.path(&["quotas"]))).await?),
        },
        Command::Set(args) => set(ctx, &scope, args).await,
        Command::Delete(args) => delete(ctx, &scope, args).await,
        Command::Explain(args) => explain(ctx, &scope, args).await,
    }
}

async fn path(ctx: &Context, scope: &Scope, wanted: &str) -> Result<(Instance, Vec<String>)> {
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let path = scope.path(&["instances", &instance.id.to_string(), "client-quotas"]);
    Ok((instance, path))
}

async fn set(ctx: &Context, scope: &Scope, args: Set) -> Result<()> {
    let limits = QuotaLimits {
        producer_byte_rate: args.produce,
        consumer_byte_rate: args.consume,
        request_percentage: args.requests,
        controller_mutation_rate: args.mutations,
        connection_creation_rate: args.connections,
    };
    if args.entity.is_empty() {
        return Err(whom());
    }
    if limits == QuotaLimits::default() {
        return Err(Error::Usage(
            "say how much: --produce, --consume, --requests or --mutations; of an address --connections; of a topic \
             --produce or --consume"
                .to_owned(),
        ));
    }
    let Entity { user, default_user, client_id, default_client_id, ip, default_ip, topic } = args.entity;
    let entity = QuotaEntity { user, default_user, client_id, default_client_id, ip, default_ip, topic };
    let (instance, path) = path(ctx, scope, &args.instance).await?;
    let call = Call::post(path).json(&SetClientQuotas { rules: vec![QuotaRule { entity, limits }] })?;
    carry_out(ctx, scope, &instance.name, call, args.dry_run, None).await
}

async fn delete(ctx: &Context, scope: &Scope, args: Delete) -> Result<()> {
    if args.entity.is_empty() {
        return Err(whom());
    }
    let (instance, path) = path(ctx, scope, &args.instance).await?;
    let call = Call::delete(path).queries(&args.entity.filter(args.key))?;
    carry_out(ctx, scope, &instance.name, call, args.dry_run, Some("figures of a quota")).await
}

fn whom() -> Error {
    Error::Usage(
        "say whom: --user, --client-id, --ip, --topic, or --default-user, --default-client-id, --default-ip".to_owned(),
    )
}

async fn explain(ctx: &Context, scope: &Scope, args: Explain) -> Result<()> {
    let (instance, mut path) = path(ctx, scope, &args.instance).await?;
    path.push("effective".to_owned());
    let client = QuotaClient { user: args.user, client_id: args.client_id, ip: args.ip, topic: args.topic };
    let doc: Doc<EffectiveQuotas> = ctx.client.fetch(&Call::get(path).queries(&client)?).await?;
    let shown = doc.typed()?;
    let details: Vec<(String, String)> =
        shown.limits.iter().map(|limit| (title(limit.key).to_owned(), explained(limit))).collect();
    ctx.out.value(&doc.value, &instance.name, &table::details(&details, ctx.out.color))
}

fn title(key: QuotaKey) -> &'static str {
    match key {
        QuotaKey::ProducerByteRate => "Produce",
        QuotaKey::ConsumerByteRate => "Consume",
        QuotaKey::RequestPercentage => "Requests",
        QuotaKey::ControllerMutationRate => "Mutations",
        QuotaKey::ConnectionCreationRate => "Connections",
    }
}

/// The figures, and below them why.
fn explained(limit: &EffectiveLimit) -> String {
    let figure = |value: f64| match limit.key {
        QuotaKey::ProducerByteRate | QuotaKey::ConsumerByteRate => format!("{}/s", bytes(value as u64)),
        QuotaKey::RequestPercentage => format!("{value} %"),
        QuotaKey::ControllerMutationRate | QuotaKey::ConnectionCreationRate => format!("{value}/s"),
    };
    let figures = match (limit.effective, limit.effective_over_all) {
        (Some(one), Some(all)) if limit.key != QuotaKey::ControllerMutationRate => {
            format!("{} on each broker, {} over all", figure(one), figure(all))
        }
        (Some(one), _) => figure(one),
        (None, _) => "no limit".to_owned(),
    };
    format!("{figures}\n{}", limit.explanation)
}
