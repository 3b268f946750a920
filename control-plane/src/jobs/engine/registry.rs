//! The kinds of job that this program can run.

use super::{
    context::{JobHandle, StepContext},
    error::{Cause, StepError, chain},
    lease::Lease,
    workflow::{Limits, OnFailure, Step, Workflow},
};
use crate::store::SystemTx;
use async_trait::async_trait;
use control_plane_api::problem::ProblemCode;
use serde_json::Value;
use std::{any::Any, collections::BTreeMap, fmt, sync::Arc};

/// What is known of a kind without its code.
#[derive(Debug, Clone)]
pub struct KindInfo {
    pub kind: &'static str,
    pub version: i32,
    pub title: &'static str,
    pub cancellable: bool,
    pub on_failure: OnFailure,
    pub steps: Vec<StepInfo>,
}

#[derive(Debug, Clone)]
pub struct StepInfo {
    pub name: &'static str,
    pub title: &'static str,
    pub limits: Limits,
    pub by_broker: bool,
}

/// Parameters of a job, opened and parsed once a claim.
pub struct Opened(Box<dyn Any + Send + Sync>);

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}

/// One call of a step of any workflow.
pub struct Call<'a, E> {
    pub(super) job: &'a JobHandle,
    pub(super) opened: &'a Opened,
    pub(super) environment: &'a E,
    pub(super) lease: &'a Lease,
    pub position: usize,
}

impl<E> Clone for Call<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Call<'_, E> {}

impl<E> fmt::Debug for Call<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("job", &self.job).field("position", &self.position).finish_non_exhaustive()
    }
}

/// A workflow without its types. Tests wrap it to fail at a chosen place.
#[async_trait]
pub trait AnyWorkflow<E>: Send + Sync {
    fn info(&self) -> &KindInfo;
    /// Refuses parameters of an unknown shape.
    fn open(&self, params: &Value, secrets: Option<&[u8]>) -> Result<Opened, Cause>;
    async fn run(&self, call: Call<'_, E>) -> Result<(), StepError>;
    async fn commit(&self, tx: &mut SystemTx, call: Call<'_, E>) -> Result<(), StepError>;
    async fn undo(&self, call: Call<'_, E>) -> Result<(), StepError>;
    async fn undone(&self, tx: &mut SystemTx, call: Call<'_, E>, cause: &Cause) -> Result<(), StepError>;
}

struct Typed<W: Workflow> {
    info: KindInfo,
    steps: Vec<Box<dyn Step<W>>>,
}

impl<W: Workflow> Typed<W> {
    fn step(&self, position: usize) -> Result<&dyn Step<W>, StepError> {
        self.steps.get(position).map(AsRef::as_ref).ok_or_else(|| {
            let inside = format!("{} has no step {position}", W::KIND);
            StepError::permanent(ProblemCode::Internal, "the job has a step that is unknown here", inside)
        })
    }

    fn context<'a>(call: Call<'a, W::Environment>) -> Result<StepContext<'a, W>, StepError> {
        let Some((params, secrets)) = call.opened.0.downcast_ref::<(W::Params, W::Secrets)>() else {
            return Err(StepError::permanent(
                ProblemCode::Internal,
                "the job could not be read",
                "opened as another kind",
            ));
        };
        Ok(StepContext {
            job: call.job,
            params,
            secrets,
            environment: call.environment,
            lease: call.lease,
            position: call.position,
        })
    }
}

#[async_trait]
impl<W: Workflow> AnyWorkflow<W::Environment> for Typed<W> {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn open(&self, params: &Value, secrets: Option<&[u8]>) -> Result<Opened, Cause> {
        let unreadable = |what: &str, error: serde_json::Error| Cause {
            code: ProblemCode::Internal,
            detail: format!("the {what} of the job cannot be read by this version"),
            // A serde error of secrets may quote them.
            internal: if what == "parameters" { chain(&error) } else { "secret parameters of an unknown shape".into() },
        };
        let params: W::Params =
            serde_json::from_value(params.clone()).map_err(|error| unreadable("parameters", error))?;
        let secrets: W::Secrets =
            serde_json::from_slice(secrets.unwrap_or(b"null")).map_err(|error| unreadable("secrets", error))?;
        Ok(Opened(Box::new((params, secrets))))
    }

    async fn run(&self, call: Call<'_, W::Environment>) -> Result<(), StepError> {
        self.step(call.position)?.run(&Self::context(call)?).await
    }

    async fn commit(&self, tx: &mut SystemTx, call: Call<'_, W::Environment>) -> Result<(), StepError> {
        self.step(call.position)?.commit(tx, &Self::context(call)?).await
    }

    async fn undo(&self, call: Call<'_, W::Environment>) -> Result<(), StepError> {
        self.step(call.position)?.undo(&Self::context(call)?).await
    }

    async fn undone(&self, tx: &mut SystemTx, call: Call<'_, W::Environment>, cause: &Cause) -> Result<(), StepError> {
        W::undone(tx, &Self::context(call)?, cause).await
    }
}

/// What is known of a workflow without an environment.
pub fn describe<W: Workflow>() -> KindInfo {
    info(&W::steps())
}

fn info<W: Workflow>(steps: &[Box<dyn Step<W>>]) -> KindInfo {
    KindInfo {
        kind: W::KIND,
        version: W::VERSION,
        title: W::TITLE,
        cancellable: W::CANCELLABLE,
        on_failure: W::ON_FAILURE,
        steps: steps
            .iter()
            .map(|step| StepInfo {
                name: step.name(),
                title: step.title(),
                limits: step.limits(),
                by_broker: step.by_broker(),
            })
            .collect(),
    }
}

/// Why a list of workflows is refused at start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RegistryError {
    #[error("workflow {0} version {1} is registered twice")]
    Twice(&'static str, i32),
    #[error("workflow {0} has no steps")]
    Empty(&'static str),
    #[error("workflow {0} has two steps named {1}")]
    StepTwice(&'static str, &'static str),
}

/// Workflows by kind and version. Old versions stay registered for as long as jobs of theirs may be under way.
pub struct Registry<E> {
    workflows: BTreeMap<(&'static str, i32), Arc<dyn AnyWorkflow<E>>>,
}

impl<E> Default for Registry<E> {
    fn default() -> Self {
        Self { workflows: BTreeMap::new() }
    }
}

impl<E> fmt::Debug for Registry<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.workflows.keys()).finish()
    }
}

impl<E: Send + Sync + 'static> Registry<E> {
    pub fn with<W: Workflow<Environment = E>>(self) -> Result<Self, RegistryError> {
        let steps = W::steps();
        self.with_any(Arc::new(Typed::<W> { info: info(&steps), steps }))
    }

    pub fn with_any(mut self, workflow: Arc<dyn AnyWorkflow<E>>) -> Result<Self, RegistryError> {
        let info = workflow.info();
        let (kind, version) = (info.kind, info.version);
        if info.steps.is_empty() {
            return Err(RegistryError::Empty(kind));
        }
        for (at, step) in info.steps.iter().enumerate() {
            if info.steps.iter().take(at).any(|earlier| earlier.name == step.name) {
                return Err(RegistryError::StepTwice(kind, step.name));
            }
        }
        if self.workflows.insert((kind, version), workflow).is_some() {
            return Err(RegistryError::Twice(kind, version));
        }
        Ok(self)
    }

    pub(super) fn get(&self, kind: &str, version: i32) -> Option<&Arc<dyn AnyWorkflow<E>>> {
        self.workflows.iter().find(|((known, at), _)| *known == kind && *at == version).map(|(_, workflow)| workflow)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn AnyWorkflow<E>>> {
        self.workflows.values()
    }
}
