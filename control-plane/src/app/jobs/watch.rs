//! Watching jobs: events as they come, and the end of one.

use super::{feed::Watcher, show};
use crate::{
    app::{App, AppError},
    domain::{actor::ProjectScope, rights::Right},
    store::jobs_view::{self, FeedPlace},
};
use control_plane_api::{
    id::JobId,
    job::{Job, JobEvent},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A stream ends after this long, and its reader comes again where it was: with a token that is valid then.
const LONGEST: Duration = Duration::from_secs(900);
/// Events that are read at a time.
const BATCH: i64 = 200;

/// An event with the id that resumes after it.
#[derive(Debug, Clone)]
pub struct Watched {
    pub id: String,
    pub event: JobEvent,
}

/// Waits until the job has ended, for `longest` at most, and shows it as it is then.
pub async fn wait_for_end(app: &App, scope: &ProjectScope, id: JobId, longest: Duration) -> Result<Job, AppError> {
    let mut watcher = app.feed.subscribe();
    let deadline = Instant::now() + longest;
    loop {
        let mut tx = app.db.tenant(scope).await?;
        let job = show(app, &mut tx, id).await?;
        drop(tx);
        if job.state.ended() || Instant::now() >= deadline {
            return Ok(job);
        }
        if let Ok(false) = tokio::time::timeout_at(deadline, watcher.wait()).await {
            return Ok(job);
        }
    }
}

/// The history of one job from `after` on, then what happens to it until it has ended. `None` when it ended before.
pub async fn watch_job(
    app: &Arc<App>,
    scope: &ProjectScope,
    id: JobId,
    after: Option<u64>,
) -> Result<Option<JobWatch>, AppError> {
    scope.require(Right::JobRead)?;
    let mut watch = JobWatch {
        app: app.clone(),
        scope: scope.clone(),
        id,
        seq: after.unwrap_or(0),
        ready: VecDeque::new(),
        over: false,
        deadline: Instant::now() + LONGEST,
        watcher: app.feed.subscribe(),
    };
    watch.look().await?;
    Ok((!watch.over || !watch.ready.is_empty()).then_some(watch))
}

/// Events of one job.
#[derive(Debug)]
pub struct JobWatch {
    app: Arc<App>,
    scope: ProjectScope,
    id: JobId,
    seq: u64,
    ready: VecDeque<JobEvent>,
    over: bool,
    deadline: Instant,
    watcher: Watcher,
}

impl JobWatch {
    /// The next event; `None` at the end of the job, of the stream's time, and of the process.
    pub async fn next(&mut self) -> Result<Option<Watched>, AppError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(Watched { id: event.seq.to_string(), event }));
            }
            let go_on = !self.over && Instant::now() < self.deadline && self.watcher.wait().await;
            if !go_on {
                return Ok(None);
            }
            self.look().await?;
        }
    }

    async fn look(&mut self) -> Result<(), AppError> {
        let mut tx = self.app.db.tenant(&self.scope).await?;
        // The state first: what is read of a job that has ended is all of it.
        let record = jobs_view::find(&mut tx, self.id).await?.ok_or_else(AppError::not_found)?;
        let events = jobs_view::events_of_job(&mut tx, self.id, self.seq, BATCH).await?;
        self.over = record.state.ended() && (events.len() as i64) < BATCH;
        self.seq = events.last().map_or(self.seq, |event| event.seq);
        self.ready.extend(events);
        Ok(())
    }
}

/// Events of all jobs of the project, from `after` on, or from now.
pub async fn watch_project(
    app: &Arc<App>,
    scope: &ProjectScope,
    after: Option<FeedPlace>,
) -> Result<ProjectWatch, AppError> {
    scope.require(Right::JobRead)?;
    let watcher = app.feed.subscribe();
    let place = match after {
        Some(place) => place,
        None => jobs_view::feed_end(&mut app.db.tenant(scope).await?).await?,
    };
    Ok(ProjectWatch {
        app: app.clone(),
        scope: scope.clone(),
        place,
        ready: VecDeque::new(),
        deadline: Instant::now() + LONGEST,
        watcher,
    })
}

/// Events of a project.
#[derive(Debug)]
pub struct ProjectWatch {
    app: Arc<App>,
    scope: ProjectScope,
    place: FeedPlace,
    ready: VecDeque<(FeedPlace, JobEvent)>,
    deadline: Instant,
    watcher: Watcher,
}

impl ProjectWatch {
    /// The next event; `None` at the end of the stream's time and of the process.
    pub async fn next(&mut self) -> Result<Option<Watched>, AppError> {
        loop {
            if let Some((place, event)) = self.ready.pop_front() {
                return Ok(Some(Watched { id: format!("{}-{}", place.transaction, place.row), event }));
            }
            let mut tx = self.app.db.tenant(&self.scope).await?;
            let events = jobs_view::events_of_project(&mut tx, self.place, BATCH).await?;
            drop(tx);
            if let Some((place, _)) = events.last() {
                self.place = *place;
                self.ready.extend(events);
                continue;
            }
            let go_on = Instant::now() < self.deadline && self.watcher.wait().await;
            if !go_on {
                return Ok(None);
            }
        }
    }
}

/// Reads back an id of [`ProjectWatch`].
impl std::str::FromStr for FeedPlace {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (transaction, row) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { transaction: transaction.parse()?, row: row.parse()? })
    }
}
