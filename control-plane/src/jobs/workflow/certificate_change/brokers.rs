//! Steps `push` and `prove`: every broker takes the new certificate, and shows it. Each broker's part is told by itself.

use super::{CertificateChange, Context};
use crate::{
    jobs::{
        engine::{Limits, Step, StepError, chain},
        workflow::provisioning::{provisioned, push_spec},
    },
    nodes::NodeError,
    pki::{Facts, certificates as certificates_of},
    provisioned::{Provisioned, secret},
    store::{SystemTx, certificates, provisioning as rows},
};
use async_trait::async_trait;
use broker_api::spec::{Listener, NodeSpec};
use control_plane_api::problem::ProblemCode;
use futures::{StreamExt, stream::FuturesUnordered};
use serde::Serialize;
use std::time::Duration;

/// How long a broker may be away before the change is taken back. The old certificate is still good, so that nothing
/// is lost by trying again later.
const PATIENCE: Duration = Duration::from_secs(600);

fn limits() -> Limits {
    Limits { deadline: PATIENCE, ..Limits::default() }
}

/// Every gateway has the new certificate.
pub(super) struct Push;

#[async_trait]
impl Step<CertificateChange> for Push {
    fn name(&self) -> &'static str {
        "push"
    }

    fn title(&self) -> &'static str {
        "Give it to every broker"
    }

    fn limits(&self) -> Limits {
        limits()
    }

    fn by_broker(&self) -> bool {
        true
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let provisioned = provisioned(context, context.params.instance_id).await?;
        let pushes = provisioned.specs.iter().map(|spec| async {
            let node_id = spec.identity.node_id;
            let pushed = push_spec(context.environment, &provisioned, spec).await;
            (node_id, pushed.map(|()| format!("broker {node_id} has it")))
        });
        each_broker(context, pushes.collect()).await
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

/// Every broker shows it to a client.
pub(super) struct Prove;

/// What the job's result says.
#[derive(Serialize)]
struct Outcome<'a> {
    certificate_id: String,
    serial: &'a str,
    valid_until: String,
    brokers: Vec<i32>,
}

#[async_trait]
impl Step<CertificateChange> for Prove {
    fn name(&self) -> &'static str {
        "prove"
    }

    fn title(&self) -> &'static str {
        "See every broker show it"
    }

    fn limits(&self) -> Limits {
        limits()
    }

    fn by_broker(&self) -> bool {
        true
    }

    async fn run(&self, context: &Context<'_>) -> Result<(), StepError> {
        let provisioned = provisioned(context, context.params.instance_id).await?;
        let proofs = provisioned
            .specs
            .iter()
            .map(|spec| async { (spec.identity.node_id, prove(context, &provisioned, spec).await) });
        each_broker(context, proofs.collect()).await
    }

    async fn commit(&self, tx: &mut SystemTx, context: &Context<'_>) -> Result<(), StepError> {
        let (id, now) = (context.params.instance_id, context.clock().now());
        // There is no way back from here, so the old key is of no more use.
        rows::forget_secret(tx, id, secret::CLIENTS_TLS_BEFORE).await?;
        certificates::forget_oldest(tx, id, now).await?;
        let (Some(served), Some((_, brokers))) = (certificates::served(tx, id).await?, rows::load(tx, id).await?)
        else {
            return Err(StepError::permanent(ProblemCode::NotFound, "the instance is gone", id.to_string()));
        };
        let facts = Facts::of_pem(&served.certificate_pem)?;
        let outcome = Outcome {
            certificate_id: served.id.to_string(),
            serial: &facts.serial,
            valid_until: facts.not_after.to_rfc3339(),
            brokers: brokers.iter().map(|broker| broker.node_id).collect(),
        };
        context.set_result::<_, ()>(tx, &outcome, None).await
    }

    async fn undo(&self, _context: &Context<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

/// All brokers at once, each told when it is done or could not be; the first that failed decides.
async fn each_broker(
    context: &Context<'_>,
    mut pending: FuturesUnordered<impl Future<Output = (i32, Result<String, StepError>)> + Send>,
) -> Result<(), StepError> {
    let all = pending.len();
    let (mut done, mut failure) = (0, None);
    while let Some((node_id, outcome)) = pending.next().await {
        done += usize::from(outcome.is_ok());
        let percent = u32::try_from(done * 100 / all.max(1)).unwrap_or(100);
        context.broker_done(node_id, &outcome, percent).await?;
        failure = failure.or(outcome.err());
    }
    failure.map_or(Ok(()), Err)
}

/// A handshake by every TLS listener, as clients make it, or what the node says where clients cannot come.
async fn prove(context: &Context<'_>, provisioned: &Provisioned, spec: &NodeSpec) -> Result<String, StepError> {
    let tls = &spec.gateway.server_tls;
    let facts = Facts::of_pem(&tls.certificate_pem)?;
    let node = spec.identity.node_id;
    let (nodes, wanted) = (&context.environment.platform.nodes, certificates_of(&tls.certificate_pem)?);
    for listener in spec.gateway.listeners.iter().filter(|listener| listener.path.is_tls()) {
        let name = name_of(listener, spec);
        match nodes.shown_certificate(listener.bind, &name, &tls.ca_pem).await {
            Ok(shown) if wanted.first().is_some_and(|leaf| leaf.as_ref() == shown) => {}
            Ok(_) => return Err(not_yet(node, "it still shows the old certificate", "another certificate was shown")),
            // Address rules of the tenant may keep us out.
            Err(NodeError::Unreachable { .. }) if says_it_shows(context, provisioned, spec, &facts).await? => {}
            Err(error) => return Err(not_yet(node, "a client could not verify it", chain(&error))),
        }
    }
    if !spec.gateway.listeners.iter().any(|listener| listener.path.is_tls())
        && !says_it_shows(context, provisioned, spec, &facts).await?
    {
        return Err(not_yet(node, "it still has the old certificate", "its status tells another serial number"));
    }
    Ok(format!("broker {node} shows {}", facts.serial))
}

async fn says_it_shows(
    context: &Context<'_>,
    provisioned: &Provisioned,
    spec: &NodeSpec,
    facts: &Facts,
) -> Result<bool, StepError> {
    let nodes = &context.environment.platform.nodes;
    let closed = |error: NodeError| not_yet(spec.identity.node_id, "it does not answer", chain(&error));
    let status = nodes.status(&provisioned.node(spec)).await.map_err(closed)?;
    // Nodes tell the serial with the zero byte that DER puts before a high bit.
    let bare = |serial: &str| serial.trim_start_matches('0').to_owned();
    Ok(bare(&status.gateway.certificate_serial) == bare(&facts.serial))
}

/// What clients of this listener call the node.
fn name_of(listener: &Listener, spec: &NodeSpec) -> String {
    let own = listener.advertised.iter().find(|address| address.node_id == spec.identity.node_id);
    own.map_or_else(|| listener.bind.ip().to_string(), |address| address.host.clone())
}

fn not_yet(node: i32, what: &str, inside: impl AsRef<str>) -> StepError {
    StepError::transient(ProblemCode::BrokerNotReady, format!("broker {node}: {what}"), inside)
}
