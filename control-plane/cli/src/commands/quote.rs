//! Prices before they are charged.

use crate::{
    client::{
        Doc,
        call::{Call, path},
    },
    context::{Context, Scope},
    error::{Error, Result},
    render::{money, table, time},
    resolve,
};
use clap::{Args, ValueEnum};
use control_plane_api::{
    catalogue::Spec,
    instance::BillingMode,
    quote::{CreateQuote, Quote as QuoteDoc},
};

/// What is wanted, as far as it has a price.
#[derive(Debug, Args)]
pub struct Size {
    /// Bandwidth spec: kafka.100 or 100; `sluice catalog specs` shows them
    #[arg(long, value_name = "SPEC")]
    pub spec: String,
    /// One zone, or three and more; all of the region without it
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    pub zones: Vec<String>,
    /// Storage for all replicas together; the spec's least without it
    #[arg(long, value_name = "GB")]
    pub storage: Option<u32>,
    /// high or ultra; the spec's first without it
    #[arg(long, value_name = "TYPE")]
    pub disk: Option<String>,
    /// By the hour, or for months paid at once
    #[arg(long, value_enum, default_value_t = Mode::Hourly)]
    pub billing: Mode,
    /// Prepaid: 1 to 9, 12, 24 or 36
    #[arg(long, value_name = "N", required_if_eq("billing", "prepaid"))]
    pub months: Option<u32>,
}

impl Size {
    pub fn zones_wanted(&self) -> Option<Vec<String>> {
        (!self.zones.is_empty()).then(|| self.zones.clone())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Hourly,
    Prepaid,
}

impl From<Mode> for BillingMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Hourly => Self::Hourly,
            Mode::Prepaid => Self::Prepaid,
        }
    }
}

#[derive(Debug, Args)]
pub struct Quote {
    #[command(flatten)]
    size: Size,
}

pub async fn run(ctx: &Context, args: Quote) -> Result<()> {
    let scope = ctx.project().await?;
    let doc = quote(ctx, &scope, &args.size).await?;
    let quote = doc.typed()?;
    ctx.out.value(&doc.value, &quote.id.to_string(), &text(&quote))
}

/// Asks for the price; what was left open takes the least that the spec sells.
pub async fn quote(ctx: &Context, scope: &Scope, size: &Size) -> Result<Doc<QuoteDoc>> {
    let (storage_gb, disk_type) = match (size.storage, &size.disk) {
        (Some(storage), Some(disk)) => (storage, disk.clone()),
        (storage, disk) => {
            let spec = spec(ctx, &size.spec).await?;
            let first = spec.disk_types.first().cloned();
            let disk = disk.clone().or(first);
            let disk =
                disk.ok_or_else(|| Error::Usage(format!("spec {} sells no disk; name one with --disk", spec.name)))?;
            (storage.unwrap_or(spec.storage_gb_min), disk)
        }
    };
    let body = CreateQuote {
        spec: size.spec.clone(),
        storage_gb,
        disk_type,
        zones: size.zones_wanted(),
        billing: size.billing.into(),
        months: size.months,
    };
    ctx.client.fetch(&Call::post(scope.path(&["quotes"])).json(&body)?.keyed()).await
}

async fn spec(ctx: &Context, wanted: &str) -> Result<Spec> {
    let docs: Vec<Doc<Spec>> = ctx.client.catalogue(&Call::get(path("v1/specs"))).await?;
    let specs = docs.iter().map(Doc::typed).collect::<Result<Vec<_>>>()?;
    resolve::by_name("spec", wanted, &specs, |spec| {
        let short = spec.name.strip_prefix("kafka.").unwrap_or(&spec.name);
        (&spec.name, short.to_owned())
    })
    .cloned()
}

/// Lines, total, and until when it holds.
pub fn text(quote: &QuoteDoc) -> String {
    let lines: Vec<Vec<String>> = quote
        .lines
        .iter()
        .map(|line| {
            let discount =
                if line.discount_percent == 0 { String::new() } else { format!("-{} %", line.discount_percent) };
            vec![line.title.clone(), line.quantity.to_string(), money(&line.unit_price), discount, money(&line.amount)]
        })
        .collect();
    let mut text = table::texts(&["ITEM", "QUANTITY", "UNIT PRICE", "DISCOUNT", "AMOUNT"], &lines);
    text.push_str(&format!("\nTotal:    {} / {}\n", money(&quote.total), quote.per));
    text.push_str(&format!(
        "Storage:  {} GB {}, of which {} GB for messages of all replicas\n",
        quote.storage_gb, quote.disk_type, quote.usable_storage_gb
    ));
    text.push_str(&format!("Zones:    {}\n", quote.zones.join(", ")));
    if !quote.in_stock {
        text.push_str(&format!("Sold out: {}\n", quote.sold_out_zones.join(", ")));
    }
    text.push_str(&format!("Quote:    {}, good until {}\n", quote.id, time(&quote.valid_until)));
    text
}
