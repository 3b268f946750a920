//! A workflow that misbehaves once, at a chosen step.

use async_trait::async_trait;
use control_plane::{
    jobs::engine::{AnyWorkflow, Call, Cause, KindInfo, Opened, Registry, StepError},
    store::SystemTx,
};
use control_plane_api::problem::ProblemCode;
use serde_json::Value;
use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Notify;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    FailBeforeEffect,
    FailAfterEffect,
    TransientBeforeEffect,
    TransientAfterEffect,
    Panic,
    /// The runner dies there.
    KillBeforeEffect,
    KillAfterEffect,
    /// The transaction that records the step is open, and never commits.
    KillInCommit,
    RunTwice,
    /// The last step fails, and then the undo of the chosen step is …
    UndoTwice,
    UndoFailsOnce,
    KillBeforeUndo,
    KillAfterUndo,
    /// The transaction that records the end of the undone job never commits.
    KillInLastUndo,
}

impl Plan {
    pub(crate) const FORWARD: [Self; 9] = [
        Self::FailBeforeEffect,
        Self::FailAfterEffect,
        Self::TransientBeforeEffect,
        Self::TransientAfterEffect,
        Self::Panic,
        Self::KillBeforeEffect,
        Self::KillAfterEffect,
        Self::KillInCommit,
        Self::RunTwice,
    ];
    pub(crate) const BACKWARD: [Self; 5] =
        [Self::UndoTwice, Self::UndoFailsOnce, Self::KillBeforeUndo, Self::KillAfterUndo, Self::KillInLastUndo];

    /// The job cannot succeed.
    pub(crate) fn is_fatal(self) -> bool {
        matches!(self, Self::FailBeforeEffect | Self::FailAfterEffect | Self::Panic) || Self::BACKWARD.contains(&self)
    }

    pub(crate) fn kills(self) -> bool {
        matches!(
            self,
            Self::KillBeforeEffect
                | Self::KillAfterEffect
                | Self::KillInCommit
                | Self::KillBeforeUndo
                | Self::KillAfterUndo
                | Self::KillInLastUndo
        )
    }
}

pub(crate) struct Sabotage<E> {
    inner: Arc<dyn AnyWorkflow<E>>,
    step: usize,
    plan: Plan,
    fired: AtomicBool,
    /// Rung where the runner is to die.
    pub(crate) scene: Arc<Notify>,
}

/// The registry with the workflow of `kind` sabotaged, and where its runner is to die.
pub(crate) fn sabotaged<E: Send + Sync + 'static>(
    registry: &Registry<E>,
    kind: &str,
    step: usize,
    plan: Plan,
) -> (Registry<E>, Arc<Notify>) {
    let scene = Arc::new(Notify::new());
    let mut wrapped = Registry::default();
    for inner in registry.iter().cloned() {
        let workflow: Arc<dyn AnyWorkflow<E>> = if inner.info().kind == kind {
            Arc::new(Sabotage { inner, step, plan, fired: AtomicBool::new(false), scene: scene.clone() })
        } else {
            inner
        };
        wrapped = wrapped.with_any(workflow).unwrap();
    }
    (wrapped, scene)
}

impl<E> Sabotage<E> {
    /// True once, at the chosen step.
    fn strikes<const N: usize>(&self, call: &Call<'_, E>, plans: [Plan; N]) -> bool {
        call.position == self.step && plans.contains(&self.plan) && !self.fired.swap(true, Ordering::SeqCst)
    }

    async fn die(&self) {
        self.scene.notify_one();
        pending::<()>().await;
    }
}

fn permanent() -> Result<(), StepError> {
    Err(StepError::permanent(ProblemCode::Internal, "sabotaged", "sabotaged"))
}

fn transient() -> Result<(), StepError> {
    Err(StepError::transient(ProblemCode::Internal, "sabotaged for a while", "sabotaged"))
}

#[async_trait]
impl<E: Send + Sync + 'static> AnyWorkflow<E> for Sabotage<E> {
    fn info(&self) -> &KindInfo {
        self.inner.info()
    }

    fn open(&self, params: &Value, secrets: Option<&[u8]>) -> Result<Opened, Cause> {
        self.inner.open(params, secrets)
    }

    async fn run(&self, call: Call<'_, E>) -> Result<(), StepError> {
        if self.strikes(&call, [Plan::FailBeforeEffect]) {
            return permanent();
        }
        if self.strikes(&call, [Plan::TransientBeforeEffect]) {
            return transient();
        }
        if self.strikes(&call, [Plan::Panic]) {
            panic!("sabotaged");
        }
        if self.strikes(&call, [Plan::KillBeforeEffect]) {
            self.die().await;
        }
        self.inner.run(call).await?;
        if self.strikes(&call, [Plan::FailAfterEffect]) {
            return permanent();
        }
        if self.strikes(&call, [Plan::TransientAfterEffect]) {
            return transient();
        }
        if self.strikes(&call, [Plan::KillAfterEffect]) {
            self.die().await;
        }
        if self.strikes(&call, [Plan::RunTwice]) {
            self.inner.run(call).await?;
        }
        let last = call.position + 1 == self.info().steps.len();
        if last && Plan::BACKWARD.contains(&self.plan) { permanent() } else { Ok(()) }
    }

    async fn commit(&self, tx: &mut SystemTx, call: Call<'_, E>) -> Result<(), StepError> {
        self.inner.commit(tx, call).await?;
        if self.strikes(&call, [Plan::KillInCommit]) {
            self.die().await;
        }
        Ok(())
    }

    async fn undo(&self, call: Call<'_, E>) -> Result<(), StepError> {
        if self.strikes(&call, [Plan::KillBeforeUndo]) {
            self.die().await;
        }
        self.inner.undo(call).await?;
        if self.strikes(&call, [Plan::UndoTwice]) {
            self.inner.undo(call).await?;
        }
        if self.strikes(&call, [Plan::UndoFailsOnce]) {
            return permanent();
        }
        if self.strikes(&call, [Plan::KillAfterUndo]) {
            self.die().await;
        }
        Ok(())
    }

    async fn undone(&self, tx: &mut SystemTx, call: Call<'_, E>, cause: &Cause) -> Result<(), StepError> {
        self.inner.undone(tx, call, cause).await?;
        if self.plan == Plan::KillInLastUndo && !self.fired.swap(true, Ordering::SeqCst) {
            self.die().await;
        }
        Ok(())
    }
}
