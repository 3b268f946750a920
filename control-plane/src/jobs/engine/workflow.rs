//! What a workflow is: typed parameters and a list of steps that can be repeated and undone.

use super::{
    context::StepContext,
    error::{Cause, StepError},
};
use crate::store::SystemTx;
use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// What happens when a step fails for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The steps that were begun are undone, last first, and the job ends as failed.
    Undo,
    /// There is no way back (a deletion): the job is stuck until a person retries it.
    Hold,
}

/// Bounds of one step.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One attempt is cut off after this time, and counts as a transient failure.
    pub attempt: Duration,
    /// From the first attempt on: a transient failure after this time is permanent.
    pub deadline: Duration,
    /// How long it takes as a rule, until history tells better.
    pub expected: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { attempt: Duration::from_secs(60), deadline: Duration::from_secs(300), expected: Duration::from_secs(1) }
    }
}

/// One step of a workflow.
///
/// A runner may die at any instant and another will run the step again from its beginning: running it twice must leave
/// the same world as running it once. The same holds for the undo, which also runs when the step was begun but not finished.
#[async_trait]
pub trait Step<W: Workflow>: Send + Sync {
    /// Unique in the workflow, kebab-case.
    fn name(&self) -> &'static str;

    /// What users read.
    fn title(&self) -> &'static str;

    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Does the same with every broker of the instance that is the job's resource: plan and job show each of them, and
    /// [`StepContext::broker_done`] tells how it went.
    fn by_broker(&self) -> bool {
        false
    }

    async fn run(&self, context: &StepContext<'_, W>) -> Result<(), StepError>;

    /// What must be written together with the record that the step is done.
    async fn commit(&self, _tx: &mut SystemTx, _context: &StepContext<'_, W>) -> Result<(), StepError> {
        Ok(())
    }

    /// Leaves nothing of what `run` made, or was about to make.
    async fn undo(&self, context: &StepContext<'_, W>) -> Result<(), StepError>;
}

/// A kind of job.
#[async_trait]
pub trait Workflow: Sized + Send + Sync + 'static {
    /// What steps may use besides the database.
    type Environment: Send + Sync + 'static;
    /// Kept and shown as they are: no secrets here.
    type Params: Serialize + DeserializeOwned + Send + Sync;
    /// Sealed while the job lives, wiped when it ends. `()` for none.
    type Secrets: Serialize + DeserializeOwned + Send + Sync;

    /// `instance-create`.
    const KIND: &'static str;
    /// Of the parameters and the list of steps. A change of either that an old job could not go on with is a new version.
    const VERSION: i32;
    const TITLE: &'static str;
    const ON_FAILURE: OnFailure;
    const CANCELLABLE: bool;
    /// While it is active, loops leave the resource alone. False for jobs that only tell nodes something: they may wait
    /// for a node that a loop brings back.
    const EXCLUSIVE: bool = true;

    fn steps() -> Vec<Box<dyn Step<Self>>>;

    /// Written together with the end of a job whose steps are undone: what the resource becomes.
    async fn undone(_tx: &mut SystemTx, _context: &StepContext<'_, Self>, _cause: &Cause) -> Result<(), StepError> {
        Ok(())
    }
}
