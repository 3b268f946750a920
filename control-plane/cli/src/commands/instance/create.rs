//! Buying an instance.

use crate::{
    client::{Doc, call::Call},
    commands::{
        capacity::WhenFull,
        job,
        quote::{self, Size},
    },
    context::{Context, Scope},
    error::{Error, Result},
    problem::plain,
    prompt,
    render::{duration, money, rows, say, table},
    resolve, watch,
};
use clap::Args;
use control_plane_api::{
    instance::{AccessOrder, BillingOrder, CreateInstance, Instance, KafkaUserOrder, Plan},
    job::Job,
    quote::Quote,
};
use serde_json::{Map, Value, json};

#[derive(Debug, Args)]
pub struct Create {
    /// 4 to 64 letters, digits, - and _, beginning with a letter
    name: String,
    #[command(flatten)]
    size: Size,
    /// Version of Apache Kafka; the catalogue's default without it
    #[arg(long = "version", value_name = "VERSION")]
    kafka_version: Option<String>,
    /// First Kafka user; made for you without it
    #[arg(long, value_name = "USER", requires = "kafka_password_stdin")]
    kafka_user: Option<String>,
    /// Read the Kafka user's password from standard input
    #[arg(long, requires = "kafka_user")]
    kafka_password_stdin: bool,
    /// 9094 from the start: public network, plaintext; `sluice access set` changes it later
    #[arg(long)]
    public_plaintext: bool,
    /// 9095 from the start: public network, SASL over TLS; `sluice access set` changes it later
    #[arg(long)]
    public_sasl_ssl: bool,
    /// What happens when the disk is full; `sluice capacity set` changes it later
    #[arg(long, value_enum, value_name = "POLICY")]
    when_full: Option<WhenFull>,
    /// Repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = crate::args::pair)]
    labels: Vec<(String, String)>,
    #[arg(long, default_value = "")]
    description: String,
    /// Show the price and what would be done, and order nothing
    #[arg(long)]
    dry_run: bool,
}

impl Create {
    fn access(&self, sasl_ssl: Option<KafkaUserOrder>) -> AccessOrder {
        AccessOrder { sasl_ssl, public_plaintext: self.public_plaintext, public_sasl_ssl: self.public_sasl_ssl }
    }
}

pub async fn run(ctx: &Context, scope: &Scope, args: Create) -> Result<()> {
    let sasl_ssl = match &args.kafka_user {
        Some(user) => {
            let password = prompt::secret("Kafka user's password", true, "--kafka-password-stdin")?;
            Some(KafkaUserOrder { user: user.clone(), password })
        }
        None => None,
    };
    let quote = match quote::quote(ctx, scope, &args.size).await {
        Ok(quote) => quote.typed()?,
        Err(error) => return Err(all_faults(ctx, scope, &args, sasl_ssl, error).await),
    };
    let order = CreateInstance {
        access: args.access(sasl_ssl),
        name: args.name,
        spec: quote.spec.clone(),
        storage_gb: quote.storage_gb,
        disk_type: quote.disk_type.clone(),
        zones: Some(quote.zones.clone()),
        kafka_version: args.kafka_version,
        billing: BillingOrder { mode: quote.billing, months: quote.months },
        capacity_policy: args.when_full.map(Into::into),
        labels: args.labels.into_iter().collect(),
        description: args.description,
        quote_id: Some(quote.id),
    };
    let call = Call::post(scope.path(&["instances"])).json(&order)?;
    if args.dry_run {
        let plan: Doc<Plan> = ctx.client.fetch(&call.query("dry_run", true)).await?;
        let text = format!("{}\n{}", quote::text(&quote), plan_text(&plan.typed()?));
        return ctx.out.value(&plan.value, &order.name, &text);
    }
    say(quote::text(&quote));
    prompt::confirm(&ctx.settings, &question(&order, &quote))?;
    let started: Doc<Job> = ctx.client.fetch(&call.keyed()).await?;
    let order_job = started.typed()?;
    if !ctx.waits(true) {
        ctx.out.one(&started)?;
        say(format!("Follow it: sluice job watch {}", order_job.id));
        return Ok(());
    }
    let done = watch::job(ctx, scope, &order_job.id.to_string()).await?;
    let id = order_job.resource.as_ref().map_or_else(|| order.name.clone(), |resource| resource.id.clone());
    let instance = resolve::instance(ctx, scope, &id).await?;
    let secrets = match job::reveal(ctx, scope, &done).await {
        Ok(secrets) => secrets,
        // The purchase stands; the password can still be had.
        Err(error) => {
            error.lines().iter().for_each(say);
            say(format!("The password was not shown: sluice job reveal {}", order_job.id));
            None
        }
    };
    hand_over(ctx, &done, &instance, secrets)
}

/// A price is refused for what has a price; the order itself knows the faults of everything else too.
async fn all_faults(
    ctx: &Context,
    scope: &Scope,
    args: &Create,
    sasl_ssl: Option<KafkaUserOrder>,
    refusal: Error,
) -> Error {
    let (Error::Problem(problem), size) = (&refusal, &args.size) else { return refusal };
    let (422, Some(storage_gb), Some(disk_type)) = (problem.status, size.storage, size.disk.clone()) else {
        return refusal;
    };
    let order = CreateInstance {
        name: args.name.clone(),
        spec: size.spec.clone(),
        storage_gb,
        disk_type,
        zones: size.zones_wanted(),
        kafka_version: args.kafka_version.clone(),
        billing: BillingOrder { mode: size.billing.into(), months: size.months },
        access: args.access(sasl_ssl),
        capacity_policy: args.when_full.map(Into::into),
        labels: args.labels.iter().cloned().collect(),
        description: args.description.clone(),
        quote_id: None,
    };
    let call = Call::post(scope.path(&["instances"])).query("dry_run", true).json(&order);
    match call {
        Ok(call) => match ctx.client.send(&call).await {
            Err(Error::Problem(whole)) if whole.status == 422 => Error::Problem(whole),
            _ => refusal,
        },
        Err(_) => refusal,
    }
}

fn question(order: &CreateInstance, quote: &Quote) -> String {
    format!("Buy {} ({}) for {} / {}?", order.name, quote.spec, money(&quote.total), quote.per)
}

/// Addresses, the user and its password, and what to do next.
fn hand_over(
    ctx: &Context,
    job: &Doc<Job>,
    instance: &Doc<Instance>,
    secrets: Option<Map<String, Value>>,
) -> Result<()> {
    let (typed, bought) = (job.typed()?, instance.typed()?);
    let value = json!({ "instance": instance.value, "job": job.value, "secrets": secrets });
    let mut details = vec![
        ("Instance".to_owned(), format!("{} ({})", bought.name, bought.id)),
        ("SASL_SSL".to_owned(), bought.bootstrap.private_sasl_ssl.clone()),
        ("Plaintext".to_owned(), bought.bootstrap.private_plaintext.clone()),
    ];
    details.extend(rows::beyond(&bought.bootstrap).into_iter().map(|(label, text)| (label.to_owned(), text)));
    if let Some(user) = typed.result.as_ref().and_then(|result| result["user"].as_str()) {
        details.push(("Kafka user".to_owned(), user.to_owned()));
    }
    for (name, secret) in secrets.iter().flatten() {
        let label = if name == "password" { "Password" } else { name };
        details.push((label.to_owned(), plain(secret)));
    }
    ctx.out.value(&value, &bought.name, &table::details(&details, ctx.out.color))?;
    if secrets.is_some() {
        say("\nThe password is shown this once.");
    }
    say(format!(
        "\nNext:\n  sluice cert truststore {name}\n  sluice instance snippet {name} python\n  sluice instance connect {name}",
        name = bought.name
    ));
    Ok(())
}

pub fn plan_text(plan: &Plan) -> String {
    let mut text = String::new();
    for check in &plan.checks {
        text.push_str(&format!("{:<8} {}\n", check.severity, check.detail));
    }
    if !plan.changes.is_empty() {
        let lines: Vec<_> = plan
            .changes
            .iter()
            .map(|change| {
                vec![change.path.clone(), change.from.to_string(), change.to.to_string(), change.effect.clone()]
            })
            .collect();
        text.push_str(&table::texts(&["CHANGE", "FROM", "TO", "EFFECT"], &lines));
    }
    if !plan.steps.is_empty() {
        text.push_str("Steps:\n");
        for (at, step) in plan.steps.iter().enumerate() {
            text.push_str(&format!("  {}. {}\n", at + 1, step.title));
            for id in &step.brokers {
                text.push_str(&format!("       broker {id}\n"));
            }
        }
    }
    if let Some(price) = &plan.price {
        text.push_str(&format!("Price: {} now, then {} / {}\n", money(&price.now), money(&price.then), price.per));
    }
    if let Some(seconds) = plan.eta_seconds {
        text.push_str(&format!("Takes about {}.\n", duration(seconds)));
    }
    text.push_str("Nothing was changed.\n");
    text
}
