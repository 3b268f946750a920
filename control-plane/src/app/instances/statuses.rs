//! What the brokers of an instance say of themselves, asked when somebody wants to know; nothing of it is kept.

use super::find;
use crate::{
    app::{App, AppError},
    domain::{actor::ProjectScope, states},
    nodes::{NodeAddress, NodeError},
    provisioned::node_addresses,
    store::instances::InstanceRecord,
};
use broker_api::status::NodeStatus;
use control_plane_api::instance::InstanceAction;
use futures::future::join_all;

/// What was heard, by broker id.
#[derive(Debug)]
pub(super) struct Heard<T = NodeStatus> {
    pub(super) brokers: Vec<(i32, T)>,
    pub(super) silent: Vec<i32>,
}

/// The instance, and how its brokers say they are.
pub(super) async fn ask_brokers(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
) -> Result<(InstanceRecord, Heard), AppError> {
    ask_each(app, scope, id_or_name, |node| async move { app.nodes.status(&node).await }).await
}

/// The instance, and what its brokers say to this; nobody is asked while there is nobody to ask.
pub(super) async fn ask_each<T, Answer: Future<Output = Result<T, NodeError>>>(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    ask: impl Fn(NodeAddress) -> Answer,
) -> Result<(InstanceRecord, Heard<T>), AppError> {
    let mut heard = Heard { brokers: Vec::new(), silent: Vec::new() };
    let mut tx = app.db.tenant(scope).await?;
    let record = find(&mut tx, id_or_name).await?;
    drop(tx);
    if states::check(record.state, InstanceAction::Use).is_err() {
        return Ok((record, heard));
    }
    let mut tx = app.db.system().await?;
    let nodes = node_addresses(&mut tx, &app.keyring, record.id).await?;
    drop(tx);
    let (ids, nodes): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();
    for (id, answer) in ids.into_iter().zip(join_all(nodes.into_iter().map(ask)).await) {
        match answer {
            Ok(told) => heard.brokers.push((id, told)),
            Err(error) => {
                tracing::warn!(instance = %record.id, node = id, %error, "a broker does not tell how it is");
                heard.silent.push(id);
            }
        }
    }
    Ok((record, heard))
}
