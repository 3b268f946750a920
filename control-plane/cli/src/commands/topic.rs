//! Topics of an instance.

use super::instance::plan_text;
use crate::{
    args::ListArgs,
    client::{Doc, Extent, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    prompt,
    render::say,
    resolve,
};
use clap::{Args, Subcommand};
use control_plane_api::{
    instance::{Instance, Plan},
    topic::{CreateTopic, Topic, TopicSummary, UpdateTopic},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Topics, also those made through Kafka's own tools
    List(List),
    /// A topic with its partitions and its settings
    Get(Named),
    /// Make a topic
    Create(Create),
    /// Add partitions to a topic
    AddPartitions(AddPartitions),
    /// Delete a topic and all its records
    Delete {
        #[command(flatten)]
        of: Named,
        /// Show what would go, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub struct List {
    /// Name or id of the instance
    instance: String,
    /// Contained in the name
    #[arg(short, long, value_name = "TEXT")]
    q: Option<String>,
    /// name, -name, partitions or -partitions
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Kafka's own topics too
    #[arg(long)]
    internal: bool,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the instance
    instance: String,
    /// Name of the topic
    topic: String,
}

#[derive(Debug, Args)]
pub struct Create {
    /// Name or id of the instance
    instance: String,
    /// Name of the topic; made when it is not given
    topic: Option<String>,
    /// 1 to 20; 3 by default
    #[arg(long, value_name = "NUMBER")]
    partitions: Option<u32>,
    /// 1 to 3; 3 by default
    #[arg(long, value_name = "NUMBER")]
    replicas: Option<u16>,
    /// Setting by Kafka's name: retention.ms=86400000; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    config: Vec<(String, String)>,
    /// Show what would be made, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct AddPartitions {
    #[command(flatten)]
    of: Named,
    /// How many it is to have in all
    #[arg(long, value_name = "TOTAL")]
    partitions: u32,
    /// Show what would be added, and do nothing
    #[arg(long)]
    dry_run: bool,
}

fn setting(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is given as NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

pub async fn run(ctx: &Context, command: Command) -> Result<()> {
    let scope = ctx.project().await?;
    match command {
        Command::List(List { instance, q, sort, internal, list }) => {
            let (_, path) = path(ctx, &scope, &instance).await?;
            let call = Call::get(path).query_some("q", q).query_some("sort", sort);
            let call = call.query_some("internal", internal.then_some(true));
            ctx.out.list(&ctx.client.list::<TopicSummary>(call, list.extent()).await?)
        }
        Command::Get(of) => {
            let (_, topics) = path(ctx, &scope, &of.instance).await?;
            ctx.out.one(&find(ctx, topics, &of.topic).await?)
        }
        Command::Create(args) => create(ctx, &scope, args).await,
        Command::AddPartitions(AddPartitions { of, partitions, dry_run }) => {
            let call = Call::patch(topic_path(ctx, &scope, &of).await?);
            let call = call.json(&UpdateTopic { partitions: Some(partitions) })?;
            if dry_run {
                return plan(ctx, call, &of.topic).await;
            }
            ctx.out.one(&ctx.client.fetch::<Topic>(&call).await?)
        }
        Command::Delete { of, dry_run } => {
            let call = Call::delete(topic_path(ctx, &scope, &of).await?);
            if dry_run {
                return plan(ctx, call, &of.topic).await;
            }
            prompt::confirm(&ctx.settings, &format!("Topic {} and all its records will be gone for good.", of.topic))?;
            ctx.client.send(&call).await?;
            say(format!("Topic {} is deleted.", of.topic));
            Ok(())
        }
    }
}

async fn create(ctx: &Context, scope: &Scope, args: Create) -> Result<()> {
    let (instance, path) = path(ctx, scope, &args.instance).await?;
    let name = args.topic.clone().unwrap_or_else(|| instance.name.clone());
    let body = CreateTopic {
        name: args.topic,
        partitions: args.partitions,
        replicas: args.replicas,
        config: args.config.into_iter().collect(),
    };
    let call = Call::post(path).json(&body)?;
    if args.dry_run {
        return plan(ctx, call, &name).await;
    }
    ctx.out.one(&ctx.client.fetch::<Topic>(&call.keyed()).await?)
}

async fn plan(ctx: &Context, call: Call, name: &str) -> Result<()> {
    let plan: Doc<Plan> = ctx.client.fetch(&call.query("dry_run", true)).await?;
    ctx.out.value(&plan.value, name, &plan_text(&plan.typed()?))
}

async fn path(ctx: &Context, scope: &Scope, wanted: &str) -> Result<(Instance, Vec<String>)> {
    let instance = resolve::instance(ctx, scope, wanted).await?.typed()?;
    let path = scope.path(&["instances", &instance.id.to_string(), "topics"]);
    Ok((instance, path))
}

async fn topic_path(ctx: &Context, scope: &Scope, of: &Named) -> Result<Vec<String>> {
    let (_, mut topics) = path(ctx, scope, &of.instance).await?;
    find(ctx, topics.clone(), &of.topic).await?;
    topics.push(of.topic.clone());
    Ok(topics)
}

/// The topic; one that is not there is answered with what looks like it.
async fn find(ctx: &Context, topics: Vec<String>, wanted: &str) -> Result<Doc<Topic>> {
    let mut path = topics.clone();
    path.push(wanted.to_owned());
    match ctx.client.fetch(&Call::get(path)).await {
        Err(Error::Problem(problem)) if problem.status == 404 => {
            let all: Vec<Doc<TopicSummary>> = ctx.client.list(Call::get(topics), Extent::All).await?;
            let names = all.iter().filter_map(|doc| doc.value["name"].as_str());
            let message = format!("there is no topic {wanted:?} in the instance");
            Err(Error::NotFound { message, near: resolve::near(wanted, names) })
        }
        other => other,
    }
}
