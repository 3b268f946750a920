//! How much an instance uses of what it was sold, asked of its brokers.

use crate::{
    app::{App, AppError, Refusal, client_connections, instances},
    domain::{actor::ProjectScope, rights::Right},
};
use control_plane_api::{
    problem::ProblemCode,
    usage::{ConnectionUsage, GroupUsage, PartitionUsage, Usage},
};

/// Every broker knows of partitions and groups: the first that answers counts. Each knows its own connections.
pub async fn get_usage(app: &App, scope: &ProjectScope, id_or_name: &str) -> Result<Usage, AppError> {
    scope.require(Right::InstanceRead)?;
    let (instance, nodes) = client_connections::find(app, scope, id_or_name).await?;
    for (broker, node) in nodes {
        let (partitions, groups) = tokio::join!(app.nodes.partitions(&node), app.nodes.groups(&node));
        let groups = groups.inspect_err(|error| {
            tracing::warn!(%instance, node = broker, %error, "a broker does not tell how many groups there are");
        });
        match partitions {
            Ok(known) => {
                let connections = instances::get_connection_limits(app, scope, id_or_name).await?;
                return Ok(Usage {
                    partitions: PartitionUsage { used: known.used, limit: known.limit },
                    groups: groups.ok().map(|known| GroupUsage { used: known.used, limit: known.limit }),
                    connections: ConnectionUsage { used: connections.used, limit: connections.total.into() },
                });
            }
            Err(error) => {
                tracing::warn!(%instance, node = broker, %error, "a broker does not tell how many partitions there are");
            }
        }
    }
    let silent = Refusal::new(ProblemCode::Unavailable)
        .detail("No broker of the instance answers.", "实例的所有代理都没有应答。")
        .retry_after(5);
    Err(silent.into())
}
