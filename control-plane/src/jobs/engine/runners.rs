//! A process's share of the queue: hears of jobs, claims as many as it has room for, and stops gracefully.

use super::runner::{Runner, Turn};
use crate::store::{StoreError, jobs};
use control_plane_api::id::JobId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, task::JoinSet};

const COUNT_EVERY: Duration = Duration::from_secs(15);

/// How much of the queue a process takes.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Jobs at a time. Steps wait more than they compute.
    pub jobs: usize,
    /// Jobs of one tenant at a time, over all replicas, so that nobody fills the queue.
    pub per_tenant: usize,
    /// Looks at the queue this often even when nobody calls.
    pub poll: Duration,
    /// How long running steps get to notice that the process stops.
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { jobs: 64, per_tenant: 16, poll: Duration::from_secs(1), grace: Duration::from_secs(5) }
    }
}

/// The bells of the jobs that run here.
type Bells = Arc<Mutex<HashMap<JobId, Arc<Notify>>>>;

/// Runs jobs until [`Runners::stop`].
#[derive(Debug)]
pub struct Runners<E> {
    runner: Runner<E>,
    tasks: JoinSet<()>,
    grace: Duration,
}

impl<E: Send + Sync + 'static> Runners<E> {
    pub fn start(runner: Runner<E>, config: Config) -> Self {
        let wake = Arc::new(Notify::new());
        let bells = Bells::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(runner.clone(), wake.clone(), bells.clone()));
        tasks.spawn(work(runner.clone(), config, wake, bells));
        tasks.spawn(count(runner.clone()));
        Self { runner, tasks, grace: config.grace }
    }

    /// Claims no more, drops the steps that run, and gives their jobs to the other replicas at once.
    pub async fn stop(mut self) {
        self.runner.shared.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.grace, all).await.is_err() {
            tracing::warn!("some jobs did not stop in time; their leases will end by themselves");
        }
    }
}

/// Turns notifications into calls; while the connection is away the poll goes on without it.
async fn listen<E: Send + Sync + 'static>(runner: Runner<E>, wake: Arc<Notify>, bells: Bells) {
    let shared = &runner.shared;
    let hear = async {
        loop {
            let outcome: Result<(), StoreError> = async {
                let mut listener = shared.database.listener().await?;
                listener.listen(jobs::CHANNEL).await?;
                // What was sent before is not heard.
                wake.notify_one();
                loop {
                    let heard = listener.recv().await?;
                    let running = heard
                        .payload()
                        .parse::<JobId>()
                        .ok()
                        .and_then(|job| bells.lock().unwrap_or_else(PoisonError::into_inner).get(&job).cloned());
                    match running {
                        Some(bell) => bell.notify_one(),
                        None => wake.notify_one(),
                    }
                }
            }
            .await;
            if let Err(error) = outcome {
                tracing::warn!(%error, "cannot hear of new jobs; looking for them by polling");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = hear => {}
        () = shared.stop.cancelled() => {}
    }
}

async fn work<E: Send + Sync + 'static>(runner: Runner<E>, config: Config, wake: Arc<Notify>, bells: Bells) {
    let mut running: JoinSet<(JobId, Option<Turn>)> = JoinSet::new();
    let shared = &runner.shared;
    let per_tenant = i64::try_from(config.per_tenant).unwrap_or(i64::MAX);
    // A claim looks at the whole queue: while jobs only end, one is made for several of them.
    let worth_a_claim = (config.jobs / 4).max(1);
    let mut look = true;
    loop {
        let room = config.jobs.saturating_sub(running.len());
        let mut wait = config.poll;
        if look && room > 0 && !shared.stop.is_cancelled() {
            look = false;
            match runner.claim(i64::try_from(room).unwrap_or(i64::MAX), per_tenant).await {
                Ok(claimed) => {
                    if claimed.is_empty() {
                        wait = until_next(&runner, config.poll).await;
                    }
                    for row in claimed {
                        let (id, bell) = (JobId::from_uuid(row.id), Arc::new(Notify::new()));
                        bells.lock().unwrap_or_else(PoisonError::into_inner).insert(id, bell.clone());
                        let runner = runner.clone();
                        running.spawn(async move { (id, Some(runner.run(row, bell).await)) });
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot claim jobs"),
            }
        }
        tokio::select! {
            () = wake.notified() => look = true,
            () = tokio::time::sleep(wait) => look = true,
            () = shared.stop.cancelled() => break,
            Some(done) = running.join_next() => forget(&bells, done),
        }
        while let Some(done) = running.try_join_next() {
            forget(&bells, done);
        }
        look |= config.jobs.saturating_sub(running.len()) >= worth_a_claim;
    }
    while let Some(done) = running.join_next().await {
        forget(&bells, done);
    }
}

/// Keeps the figure of jobs that have not ended.
async fn count<E: Send + Sync + 'static>(runner: Runner<E>) {
    let shared = &runner.shared;
    loop {
        let counts = async {
            let mut connection = shared.database.system_connection().await?;
            jobs::count_active(&mut *connection).await
        };
        match counts.await {
            Ok(counts) => shared.metrics.set_active(counts),
            Err(error) => tracing::debug!(%error, "cannot count jobs"),
        }
        tokio::select! {
            () = tokio::time::sleep(COUNT_EVERY) => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

fn forget(bells: &Bells, done: Result<(JobId, Option<Turn>), tokio::task::JoinError>) {
    match done {
        Ok((job, _)) => {
            bells.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
        }
        Err(error) => tracing::error!(%error, "a runner of a job ended by itself; its lease will end"),
    }
}

/// How long nothing can become ready without a call.
async fn until_next<E: Send + Sync + 'static>(runner: &Runner<E>, poll: Duration) -> Duration {
    let due = async {
        let mut connection = runner.shared.database.system_connection().await?;
        jobs::next_due(&mut *connection).await
    };
    match due.await {
        // Not sooner than 100 ms: jobs of a tenant that has its share now are due all the time.
        Ok(Some(at)) => (at - runner.shared.clock.now())
            .to_std()
            .unwrap_or_default()
            .clamp(Duration::from_millis(100).min(poll), poll),
        Ok(None) | Err(_) => poll,
    }
}
