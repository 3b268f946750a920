//! Following a job to its end.
//!
//! Owns waiting: the time limit, the interrupt (which stops the watching, never the job), and patience with a server
//! that is away for a while.

pub mod changes;
pub mod progress;
mod signals;

use crate::{
    client::{Doc, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
    render::duration,
};
use control_plane_api::job::{Job, JobState};
use progress::View;
use signals::Signals;
use std::time::{Duration, Instant};

/// A server that is away longer than this ends the watching; a restart takes seconds.
const AWAY: Duration = Duration::from_secs(120);

/// Shows the job until it ends. A job that failed or is stuck is an error.
pub async fn job(ctx: &Context, scope: &Scope, id: &str) -> Result<Doc<Job>> {
    let resume = format!("sluice job watch {id}");
    let mut view = View::new();
    let limit = ctx.settings.timeout;
    let limit_passed = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        outcome = follow(ctx, scope, id, &mut view) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted { what: format!("job {id}"), resume }),
        () = limit_passed => {
            let seconds = limit.map_or(0, |limit| limit.as_secs());
            Err(Error::Timeout { what: format!("job {id}"), seconds, resume })
        }
    };
    view.end();
    let doc = outcome?;
    let job = doc.typed()?;
    if job.state == JobState::Succeeded { Ok(doc) } else { Err(Error::Job(Box::new(job))) }
}

async fn follow(ctx: &Context, scope: &Scope, id: &str, view: &mut View) -> Result<Doc<Job>> {
    let look = Call::get(scope.path(&["jobs", id]));
    let mut signals = Signals::new(&ctx.client, Call::get(scope.path(&["jobs", id, "events"])));
    let mut away_since: Option<Instant> = None;
    loop {
        match ctx.client.fetch::<Job>(&look).await {
            Ok(doc) => {
                away_since = None;
                let job = doc.typed()?;
                view.show(&job);
                if job.state.ended() || job.state == JobState::Stuck {
                    return Ok(doc);
                }
            }
            Err(error) if passing(&error) => {
                let since = *away_since.get_or_insert_with(|| {
                    view.remark("the server is away; the job goes on, watching resumes when it is back");
                    Instant::now()
                });
                if since.elapsed() > AWAY {
                    view.remark(&format!("gave up after {}", duration(AWAY.as_secs())));
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        signals.wait().await;
    }
}

/// Whether the same look may succeed later.
fn passing(error: &Error) -> bool {
    match error {
        Error::Network { .. } => true,
        Error::Problem(problem) => matches!(problem.status, 429 | 502..=504),
        _ => false,
    }
}
