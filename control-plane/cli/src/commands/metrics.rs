//! Metrics of an instance, for people and as Prometheus reads them.

use crate::{
    client::{Doc, call::Call},
    context::Context,
    error::{Error, Result},
    render::say,
};
use clap::Args;
use control_plane_api::metrics::{Exposition, MetricSample};
use serde_json::json;

#[derive(Debug, Args)]
pub struct Shown {
    /// Contained in the metric's name
    #[arg(short, long, value_name = "TEXT")]
    query: Option<String>,
    /// Counters at 0 too, which tables leave out
    #[arg(long)]
    all: bool,
    /// The text that Prometheus scrapes, as it is
    #[arg(long, conflicts_with_all = ["query", "all"])]
    prometheus: bool,
}

pub async fn show(ctx: &Context, call: &Call, shown: &Shown) -> Result<()> {
    let body = ctx.client.send(call).await?.body;
    if shown.prometheus {
        return ctx.out.bytes(&body);
    }
    let wrong = |reason: String| Error::Answer { what: call.title(), reason };
    let text = String::from_utf8(body).map_err(|error| wrong(error.to_string()))?;
    let metrics: Exposition = text.parse().map_err(|error| wrong(format!("{error}")))?;
    let is_asked_for = |sample: &&MetricSample| shown.query.as_ref().is_none_or(|query| sample.name.contains(query));
    let asked_for: Vec<_> = metrics.samples().filter(is_asked_for).collect();
    let is_told = |sample: &MetricSample| {
        shown.all || !ctx.out.for_people() || !sample.name.ends_with("_total") || sample.value.parse() != Ok(0.0)
    };
    let told: Vec<Doc<MetricSample>> =
        asked_for.iter().filter(|sample| is_told(sample)).map(|sample| Doc::new(json!(sample))).collect();
    ctx.out.list(&told)?;
    match asked_for.len() - told.len() {
        0 => {}
        left_out => say(format!("{left_out} counter(s) at 0 left out; --all shows them.")),
    }
    Ok(())
}
