//! Following jobs: streams that break, servers that vanish, limits, interrupts.

use crate::support::*;
use std::{
    process::Command,
    time::{Duration, Instant},
};

fn jobs(states: &'static [(&'static str, u32)], events: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        let line = request.line();
        if line == format!("GET {}", of_project(&format!("jobs/{JOB}/events"))) {
            return events(request);
        }
        if line == format!("GET {}", of_project(&format!("jobs/{JOB}"))) {
            let (state, done) = states[request.before.min(states.len() - 1)];
            return Reply::json(200, &job(state, done));
        }
        standard(request)
    })
}

#[test]
fn a_stream_that_breaks_is_resumed_after_the_last_event() {
    let states = &[("queued", 0), ("queued", 0), ("running", 0), ("running", 1), ("succeeded", 2)];
    let server = jobs(states, |request| match request.before {
        0 => Reply::events(&[(6, "{}"), (7, "{}")]),
        n => Reply::events(&[(7 + n as u64, "{}")]),
    });
    Home::signed_in(&server, 600).run(&format!("job watch {JOB}")).expect(0);
    let streams = server.seen_of(&format!("GET {}", of_project(&format!("jobs/{JOB}/events"))));
    assert_eq!(streams[0].header("accept"), Some("text/event-stream"));
    assert_eq!(streams[0].header("last-event-id"), None);
    assert_eq!(streams[1].header("last-event-id"), Some("7"));
}

#[test]
fn a_server_without_streams_is_polled() {
    let server = jobs(&[("running", 0), ("running", 0), ("succeeded", 2)], |_| Reply::problem(404, "not-found"));
    Home::signed_in(&server, 600).run(&format!("job watch {JOB}")).expect(0);
}

#[test]
fn a_job_that_fails_says_why_and_exits_7() {
    let server = jobs(&[("failed", 1)], |_| Reply::events(&[]));
    let ran = Home::signed_in(&server, 600).run(&format!("job watch {JOB}")).expect(7);
    assert!(ran.err.contains("failed at step start: broker 2 did not start"), "{}", ran.err);
    assert!(ran.err.contains(&format!("sluice job get {JOB}")), "{}", ran.err);
}

#[test]
fn a_time_limit_ends_the_watching_with_8_and_tells_how_to_go_on() {
    let server = jobs(&[("running", 0)], |_| Reply::problem(404, "not-found"));
    let ran = Home::signed_in(&server, 600).run(&format!("job watch {JOB} --timeout 1s")).expect(8);
    assert!(ran.err.contains(&format!("sluice job watch {JOB}")), "{}", ran.err);
}

#[test]
fn an_interrupt_stops_the_watching_and_leaves_the_job_alone() {
    let server = jobs(&[("running", 0)], |_| Reply::problem(404, "not-found"));
    let child = Home::signed_in(&server, 600);
    let child = child.start(&format!("job watch {JOB}"));
    // Watching has begun once the job has been looked at twice.
    let looks = || server.seen_of(&format!("GET {}", of_project(&format!("jobs/{JOB}")))).len();
    wait_until("the job is watched", || looks() >= 2);
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let ran = finish(child).expect(130);
    assert!(ran.err.contains(&format!("job {JOB} goes on")), "{}", ran.err);
    assert!(ran.err.contains(&format!("sluice job watch {JOB}")), "{}", ran.err);
    assert!(server.seen().iter().all(|request| request.method == "GET"));
}

#[test]
fn a_server_that_is_away_for_a_while_does_not_end_the_watching() {
    let server = Server::start(|request| {
        if request.line() != format!("GET {}", of_project(&format!("jobs/{JOB}"))) {
            return standard(request);
        }
        match request.before {
            0 => Reply::json(200, &job("running", 0)),
            // More than the attempts of one call.
            1..=8 => Reply::problem(503, "unavailable").header("retry-after", "0"),
            _ => Reply::json(200, &job("succeeded", 2)),
        }
    });
    let ran = Home::signed_in(&server, 600).run(&format!("job watch {JOB}")).expect(0);
    assert!(ran.err.contains("the server is away"), "{}", ran.err);
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
