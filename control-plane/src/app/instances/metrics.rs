//! Metrics of an instance in Prometheus' text, asked of its nodes at each scrape; nothing of it is kept.

use super::{
    as_operator,
    statuses::{Heard, ask_each},
};
use crate::{
    app::{App, AppError},
    domain::{
        actor::{Actor, ProjectScope},
        rights::Right,
    },
    nodes::NodeAddress,
};
use broker_api::metrics::FOR_TENANTS;
use control_plane_api::metrics::Exposition;

/// What a tenant may know of the instance.
pub async fn get_prometheus_metrics(app: &App, scope: &ProjectScope, id_or_name: &str) -> Result<Exposition, AppError> {
    scope.require(Right::InstanceRead)?;
    scrape(app, scope, id_or_name, |family| FOR_TENANTS.contains(&family)).await
}

/// Everything that its nodes tell.
pub async fn get_node_metrics(app: &App, actor: &Actor, id: &str) -> Result<Exposition, AppError> {
    let scope = as_operator(app, actor, id).await?;
    scrape(app, &scope, id, |_| true).await
}

/// A node that does not answer, or with what is no metrics, is down; the others' answers stand.
async fn scrape(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    may_be_told: impl Fn(&str) -> bool,
) -> Result<Exposition, AppError> {
    let ask = |node: NodeAddress| async move { app.nodes.metrics(&node).await };
    let (record, Heard { brokers, mut silent }) = ask_each(app, scope, id_or_name, ask).await?;
    let instance = record.id.to_string();
    let mut all = Exposition::default();
    let mut node = |broker: i32, told: Option<Exposition>| {
        let broker = broker.to_string();
        let labels = [("instance_id", instance.as_str()), ("broker", broker.as_str())];
        all.gauge("sluice_node_up", "1 when the node told its metrics", &labels, told.is_some().into());
        if let Some(mut told) = told {
            told.retain(&may_be_told);
            all.add(told, &labels);
        }
    };
    for (broker, text) in brokers {
        match text.parse::<Exposition>() {
            Ok(told) => node(broker, Some(told)),
            Err(error) => {
                tracing::warn!(%instance, node = broker, %error, "a broker's metrics are not understood");
                silent.push(broker);
            }
        }
    }
    silent.into_iter().for_each(|broker| node(broker, None));
    // The name stands here alone: an instance of another name has the same series.
    let labels = [
        ("instance_id", instance.as_str()),
        ("name", record.name.as_str()),
        ("spec", record.spec.name.as_str()),
        ("kafka_version", record.kafka_version.as_str()),
    ];
    all.gauge("sluice_instance_info", "What the instance is called and made of", &labels, 1);
    Ok(all)
}
