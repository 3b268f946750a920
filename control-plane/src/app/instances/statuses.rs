//! What the brokers of an instance say of themselves, asked when somebody wants to know; nothing of it is kept.

use super::find;
use crate::{
    app::{App, AppError},
    domain::{actor::ProjectScope, states},
    provisioned::node_addresses,
    store::instances::InstanceRecord,
};
use broker_api::status::NodeStatus;
use control_plane_api::instance::InstanceAction;
use futures::future::join_all;

/// What was heard, by broker id.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) brokers: Vec<(i32, NodeStatus)>,
    pub(super) silent: Vec<i32>,
}

/// The instance, and what its brokers say; nobody is asked while there is nobody to ask.
pub(super) async fn ask_brokers(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
) -> Result<(InstanceRecord, Heard), AppError> {
    let mut tx = app.db.tenant(scope).await?;
    let record = find(&mut tx, id_or_name).await?;
    drop(tx);
    if states::check(record.state, InstanceAction::Use).is_err() {
        return Ok((record, Heard::default()));
    }
    let mut tx = app.db.system().await?;
    let nodes = node_addresses(&mut tx, &app.keyring, record.id).await?;
    drop(tx);
    let answers = nodes.iter().map(|(id, node)| async move { (*id, app.nodes.status(node).await) });
    let mut heard = Heard::default();
    for (id, answer) in join_all(answers).await {
        match answer {
            Ok(status) => heard.brokers.push((id, status)),
            Err(error) => {
                tracing::warn!(instance = %record.id, node = id, %error, "a broker does not tell how it is");
                heard.silent.push(id);
            }
        }
    }
    Ok((record, heard))
}
