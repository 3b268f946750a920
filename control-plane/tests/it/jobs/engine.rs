//! The engine by itself, on small workflows.

use super::house::{House, LEASE, tenant};
use async_trait::async_trait;
use chrono::Duration as Span;
use control_plane::{
    jobs::engine::{
        Config, NewJob, OnFailure, Registry, Resource, Runner, Runners, Step, StepContext, StepError, Turn, Workflow,
    },
    store::{StoreError, jobs},
};
use control_plane_api::{
    id::{JobId, OrganisationId, ProjectId},
    job::JobState,
    problem::ProblemCode,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, Semaphore};

/// What the steps of the tests' workflow leave.
struct Desk {
    done: Mutex<Vec<JobId>>,
    /// A step waits here after its work when it was asked to.
    gate: Semaphore,
    arrived: Notify,
    running: Mutex<(BTreeMap<OrganisationId, usize>, BTreeMap<OrganisationId, usize>)>,
}

impl Desk {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            done: Mutex::default(),
            gate: Semaphore::new(0),
            arrived: Notify::new(),
            running: Mutex::default(),
        })
    }

    fn done(&self) -> Vec<JobId> {
        self.done.lock().unwrap().clone()
    }
}

#[derive(Debug)]
struct Chore;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Manner {
    Plain,
    WaitAtGate,
    Panic,
    Endless,
    AlwaysBusy,
}

struct Only;

#[async_trait]
impl Workflow for Chore {
    type Environment = Arc<Desk>;
    type Params = Manner;
    type Secrets = Option<String>;
    const KIND: &'static str = "chore";
    const VERSION: i32 = 1;
    const TITLE: &'static str = "Chore";
    const ON_FAILURE: OnFailure = OnFailure::Undo;
    const CANCELLABLE: bool = true;

    fn steps() -> Vec<Box<dyn Step<Self>>> {
        vec![Box::new(Only)]
    }
}

#[async_trait]
impl Step<Chore> for Only {
    fn name(&self) -> &'static str {
        "only"
    }

    fn title(&self) -> &'static str {
        "Only"
    }

    fn limits(&self) -> control_plane::jobs::engine::Limits {
        control_plane::jobs::engine::Limits { attempt: Duration::from_millis(300), ..Default::default() }
    }

    async fn run(&self, context: &StepContext<'_, Chore>) -> Result<(), StepError> {
        let desk = context.environment;
        let org = context.job.org;
        {
            let (now, most) = &mut *desk.running.lock().unwrap();
            let running = now.entry(org).or_default();
            *running += 1;
            let most = most.entry(org).or_default();
            *most = (*most).max(*running);
        }
        let outcome = match context.params {
            Manner::Plain => Ok(()),
            Manner::WaitAtGate => {
                desk.arrived.notify_one();
                desk.gate.acquire().await.unwrap().forget();
                // What a step that was paused does next: it writes.
                context.progress("through the gate", 50).await
            }
            Manner::Panic => panic!("the chore broke"),
            Manner::Endless => std::future::pending().await,
            Manner::AlwaysBusy => Err(StepError::transient(ProblemCode::Unavailable, "the desk is taken", "busy")),
        };
        *desk.running.lock().unwrap().0.entry(org).or_default() -= 1;
        if outcome.is_ok() {
            desk.done.lock().unwrap().push(context.job.id);
        }
        outcome
    }

    async fn undo(&self, _context: &StepContext<'_, Chore>) -> Result<(), StepError> {
        Ok(())
    }
}

fn runner(house: &House, owner: &str, desk: &Arc<Desk>) -> Runner<Arc<Desk>> {
    house.runner_of(owner, Registry::default().with::<Chore>().unwrap(), desk.clone())
}

async fn chore(house: &House, manner: Manner) -> JobId {
    house.enqueue(house.job::<Chore>(manner, None, None)).await
}

async fn problem(house: &House, job: JobId) -> (String, String, String) {
    let part = |name| async move {
        match name {
            "code" => house.text("select problem_code from jobs where id = $1", job.uuid()).await,
            "detail" => house.text("select problem_detail from jobs where id = $1", job.uuid()).await,
            _ => house.text("select internal_detail from jobs where id = $1", job.uuid()).await,
        }
        .unwrap_or_default()
    };
    (part("code").await, part("detail").await, part("internal").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_runner_that_wakes_after_its_lease_ended_writes_nothing() {
    let house = House::build().await;
    let (slow, quick) = (Desk::new(), Desk::new());
    let job = chore(&house, Manner::WaitAtGate).await;
    let paused = runner(&house, "paused", &slow);
    let row = paused.claim(1, 1).await.unwrap().remove(0);
    let sleeper = tokio::spawn(async move { paused.run(row, Arc::new(Notify::new())).await });
    slow.arrived.notified().await;

    house.clock.advance(Span::from_std(LEASE).unwrap() + Span::seconds(1));
    quick.gate.add_permits(1);
    assert_eq!(house.finish(&runner(&house, "other", &quick), job).await, "succeeded");
    let history = house.history(job).await;

    slow.gate.add_permits(1);
    assert_eq!(sleeper.await.unwrap(), Turn::Lost);
    assert_eq!(house.history(job).await, history, "the sleeper added nothing");
    assert_eq!(slow.done(), [], "its step could not go on");
    assert_eq!(quick.done(), [job]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_claim_is_refused_by_every_way_to_write() {
    let house = House::build().await;
    let desk = Desk::new();
    let job = chore(&house, Manner::Plain).await;
    let (first, second) = (runner(&house, "first", &desk), runner(&house, "second", &desk));
    let stale = first.claim(1, 1).await.unwrap().remove(0);
    house.clock.advance(Span::from_std(LEASE).unwrap() + Span::seconds(1));
    assert_eq!(second.claim(1, 1).await.unwrap().len(), 1);
    assert_eq!(first.run(stale, Arc::new(Notify::new())).await, Turn::Lost);
    assert_eq!(desk.done(), []);
    assert_eq!(house.history(job).await, ["queued"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_an_unknown_kind_is_stuck_with_a_reason() {
    let house = House::build().await;
    let job = chore(&house, Manner::Plain).await;
    let ignorant = house.runner("one");
    assert_eq!(house.turn(&ignorant).await, [Turn::Ended(JobState::Stuck)]);
    let (_, detail, internal) = problem(&house, job).await;
    assert_eq!(detail, "this version of the service does not know jobs of this kind");
    assert_eq!(internal, "no workflow chore version 1 is registered");
    // A version that knows it goes on when asked.
    let desk = Desk::new();
    let mut tx = house.db.system().await.unwrap();
    assert!(jobs::retry(&mut tx, job, house.clock.now()).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(house.finish(&runner(&house, "newer", &desk), job).await, "succeeded");
    let (code, detail, _) = problem(&house, job).await;
    assert_eq!((code, detail), Default::default(), "a good end has no problem");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_parameters_of_an_unknown_shape_is_stuck_with_a_reason() {
    let house = House::build().await;
    let job = chore(&house, Manner::Plain).await;
    let mut sql = house.database.superuser().await;
    sqlx::query("update jobs set params = '\"Sideways\"' where id = $1")
        .bind(job.uuid())
        .execute(&mut sql)
        .await
        .unwrap();
    assert_eq!(house.turn(&runner(&house, "one", &Desk::new())).await, [Turn::Ended(JobState::Stuck)]);
    assert_eq!(problem(&house, job).await.1, "the parameters of the job cannot be read by this version");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_step_fails_the_job_and_nothing_else() {
    let house = House::build().await;
    let (job, desk) = (chore(&house, Manner::Panic).await, Desk::new());
    assert_eq!(house.finish(&runner(&house, "one", &desk), job).await, "failed");
    let (code, detail, internal) = problem(&house, job).await;
    assert_eq!((code.as_str(), detail.as_str()), ("internal", "the step ran into a fault of the service"));
    assert_eq!(internal, "panic: the chore broke");
    let after = chore(&house, Manner::Plain).await;
    assert_eq!(house.finish(&runner(&house, "one", &desk), after).await, "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_takes_too_long_is_cut_off_and_given_up_at_the_deadline() {
    let house = House::build().await;
    let (job, desk) = (chore(&house, Manner::Endless).await, Desk::new());
    assert_eq!(house.finish(&runner(&house, "one", &desk), job).await, "failed");
    let (code, detail, _) = problem(&house, job).await;
    assert_eq!((code.as_str(), detail.as_str()), ("timeout", "it took longer than 300ms; given up after 300 s"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transient_failure_is_retried_with_growing_pauses_until_the_deadline() {
    let house = House::build().await;
    let (job, desk) = (chore(&house, Manner::AlwaysBusy).await, Desk::new());
    let runner = runner(&house, "one", &desk);
    let mut pauses = Vec::new();
    while house.turn(&runner).await == [Turn::Waiting] {
        let mut sql = house.database.superuser().await;
        let due: chrono::DateTime<chrono::Utc> = sqlx::query_scalar("select run_after from jobs where id = $1")
            .bind(job.uuid())
            .fetch_one(&mut sql)
            .await
            .unwrap();
        pauses.push((due - house.clock.now()).as_seconds_f64());
        assert!(runner.claim(1, 1).await.unwrap().is_empty(), "not before it is due");
        house.clock.advance(due - house.clock.now());
    }
    assert!(pauses.is_sorted() && pauses[0] >= 0.25 && pauses.iter().sum::<f64>() >= 300.0, "{pauses:?}");
    assert_eq!(house.job_state(job).await, "failed");
    assert_eq!(problem(&house, job).await.1, "the desk is taken; given up after 300 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_work_and_do_each_job_once() {
    let house = House::with_clock(control_plane::clock::Clock::system()).await;
    let desks = [Desk::new(), Desk::new()];
    let mut expected = Vec::new();
    for _ in 0..200 {
        expected.push(chore(&house, Manner::Plain).await);
    }
    let config = Config { jobs: 4, ..Config::default() };
    let replicas: Vec<_> =
        desks.iter().zip(["a", "b"]).map(|(desk, name)| Runners::start(runner(&house, name, desk), config)).collect();
    until("all jobs are done", || desks.iter().map(|desk| desk.done().len()).sum::<usize>() >= 200).await;
    for replica in replicas {
        replica.stop().await;
    }
    let mut done: Vec<JobId> = desks.iter().flat_map(|desk| desk.done()).collect();
    done.sort();
    expected.sort();
    assert_eq!(done, expected);
    assert!(desks.iter().all(|desk| !desk.done().is_empty()), "both had a share");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_many_jobs_does_not_hold_up_another() {
    let house = House::build().await;
    let (noisy, quiet) = (house.org, OrganisationId::generate());
    let project = ProjectId::generate();
    tenant(&mut house.database.superuser().await, quiet, project, "quiet").await;
    for _ in 0..300 {
        chore(&house, Manner::Plain).await;
    }
    house.clock.advance(Span::seconds(1));
    let late = NewJob { org: quiet, project, ..house.job::<Chore>(Manner::Plain, None, None) };
    let late = house.enqueue(late).await;
    let runner = runner(&house, "one", &Desk::new());
    let first = runner.claim(16, 8).await.unwrap();
    assert_eq!(first.len(), 8, "the noisy tenant's share");
    assert!(first.iter().all(|row| row.org_id == noisy.uuid()));
    let next: Vec<_> = runner.claim(8, 8).await.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(next, [late.uuid()], "then the other's turn, past 292 older jobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stops_hands_its_jobs_over_at_once() {
    let house = House::with_clock(control_plane::clock::Clock::system()).await;
    let (leaving, staying) = (Desk::new(), Desk::new());
    let job = chore(&house, Manner::WaitAtGate).await;
    let runners = Runners::start(runner(&house, "leaving", &leaving), Config::default());
    leaving.arrived.notified().await;
    runners.stop().await;
    staying.gate.add_permits(1);
    // Claimed without any wait for the lease.
    assert_eq!(house.turn(&runner(&house, "staying", &staying)).await, [Turn::Ended(JobState::Succeeded)]);
    assert_eq!(staying.done(), [job]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_active_job_at_a_time_changes_a_resource() {
    let house = House::build().await;
    let resource = || Some(Resource { kind: "instance", id: uuid::Uuid::from_u128(7), name: "orders".into() });
    let first = house.enqueue(house.job::<Chore>(Manner::Plain, None, resource())).await;
    let mut tx = house.db.system().await.unwrap();
    let second = house.job::<Chore>(Manner::Plain, None, resource());
    let refused = control_plane::jobs::engine::enqueue(&mut tx, &house.keyring, &house.clock, second).await;
    assert!(
        matches!(refused, Err(control_plane::jobs::engine::EnqueueError::Store(StoreError::JobActive))),
        "{refused:?}"
    );
    drop(tx);
    assert_eq!(house.finish(&runner(&house, "one", &Desk::new()), first).await, "succeeded");
    house.enqueue(house.job::<Chore>(Manner::Plain, None, resource())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_rolled_back_transaction_never_was() {
    let house = House::build().await;
    let mut tx = house.db.system().await.unwrap();
    let job = house.job::<Chore>(Manner::Plain, None, None);
    control_plane::jobs::engine::enqueue(&mut tx, &house.keyring, &house.clock, job).await.unwrap();
    drop(tx);
    assert_eq!(house.turn(&runner(&house, "one", &Desk::new())).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_parameters_are_sealed_while_the_job_lives_and_wiped_at_its_end() {
    let house = House::build().await;
    let job = house.enqueue(house.job::<Chore>(Manner::Plain, Some("Quartz-91".into()), None)).await;
    let dump = || async {
        house
            .text(
                "select row_to_json(jobs)::text || encode(params_sealed, 'escape') from jobs where id = $1",
                job.uuid(),
            )
            .await
    };
    assert!(!dump().await.unwrap().contains("Quartz-91"));
    house.finish(&runner(&house, "one", &Desk::new()), job).await;
    assert_eq!(dump().await, None, "params_sealed is null");
}

#[test]
fn a_registry_refuses_what_would_be_ambiguous() {
    let twice = Registry::default().with::<Chore>().unwrap().with::<Chore>();
    assert_eq!(twice.unwrap_err().to_string(), "workflow chore version 1 is registered twice");
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
