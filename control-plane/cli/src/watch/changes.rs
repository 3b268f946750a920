//! What changed between two looks at a job, in words.

use crate::render::{duration, enum_text, time};
use chrono::Utc;
use control_plane_api::job::{Job, JobStep, StepBroker, StepState};

fn mark(state: StepState) -> &'static str {
    match state {
        StepState::Succeeded => "✓",
        StepState::Failed => "✗",
        StepState::Running => "…",
        StepState::Undone => "↶",
        StepState::Skipped => "-",
        StepState::Pending => "·",
    }
}

/// One line for a step: mark, title, time, what it waits for.
pub fn step_line(step: &JobStep) -> String {
    let mut line = format!("{} {}", mark(step.state), step.title);
    if let Some(seconds) = seconds(step) {
        line.push_str(&format!(" ({})", duration(seconds)));
    }
    if step.attempts > 1 {
        line.push_str(&format!(", attempt {}", step.attempts));
    }
    if let Some(detail) = own_detail(step) {
        line.push_str(": ");
        line.push_str(detail);
    }
    line
}

/// What the step waits for or did; what a broker did stands in that broker's line.
fn own_detail(step: &JobStep) -> Option<&str> {
    let of_broker = |detail: &str| step.brokers.iter().any(|part| part.detail.as_deref() == Some(detail));
    step.detail.as_deref().filter(|detail| !detail.is_empty() && !of_broker(detail))
}

/// One line for a broker of a step that goes by brokers, below that of the step: mark, what was done, when.
pub fn broker_line(part: &StepBroker) -> String {
    let what = part.detail.clone().unwrap_or_else(|| format!("broker {}", part.broker_id));
    let at = part.changed_at.as_ref().map_or_else(String::new, |at| format!(" ({})", time(at)));
    format!("  {} {what}{at}", mark(part.state))
}

/// Every line of the job's steps, with the state of what it tells.
pub fn all_lines(job: &Job) -> impl Iterator<Item = (StepState, String)> {
    job.steps.iter().flat_map(|step| {
        let brokers = step.brokers.iter().map(|part| (part.state, broker_line(part)));
        std::iter::once((step.state, step_line(step))).chain(brokers)
    })
}

/// How long the step took, or has been running.
fn seconds(step: &JobStep) -> Option<u64> {
    let started = step.started_at?;
    let until = match step.state {
        StepState::Running => Utc::now(),
        _ => step.ended_at?,
    };
    u64::try_from((until - started).num_seconds()).ok()
}

/// What the job does, and to what: `Create instance orders`.
pub fn title(job: &Job) -> String {
    match &job.resource {
        Some(resource) if !job.title.contains(&resource.name) => format!("{} {}", job.title, resource.name),
        _ => job.title.clone(),
    }
}

/// Lines for a log: a line for each step and broker that changed, and one when the state did.
pub fn lines(before: Option<&Job>, now: &Job) -> Vec<String> {
    let mut lines = Vec::new();
    let percent = now.progress_percent;
    for (at, step) in now.steps.iter().enumerate() {
        let old = before.and_then(|job| job.steps.get(at));
        let seen = |step: &JobStep| (step.state, step.attempts, own_detail(step).map(str::to_owned));
        let fresh = old.is_none() && step.state == StepState::Pending;
        if !fresh && old.map(seen) != Some(seen(step)) {
            lines.push(format!("[{percent:>3} %] {}/{} {}", at + 1, now.steps.len(), step_line(step)));
        }
        let known = old.map_or(&[][..], |step| &step.brokers);
        let told = step.brokers.iter().filter(|part| part.state != StepState::Pending && !known.contains(part));
        lines.extend(told.map(|part| format!("[{percent:>3} %] {}/{} {}", at + 1, now.steps.len(), broker_line(part))));
    }
    if before.map(|job| job.state) != Some(now.state) {
        let left = match now.eta_seconds {
            Some(seconds) if !now.state.ended() => format!(", about {} left", duration(seconds)),
            _ => String::new(),
        };
        lines.push(format!("[{percent:>3} %] {}: {}{left}", title(now), enum_text(&now.state)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(state: &str, percent: u32, steps: &[(&str, &str)]) -> Job {
        let steps: Vec<_> = steps
            .iter()
            .map(|(title, state)| json!({"name": title, "title": title, "state": state, "attempts": 1}))
            .collect();
        serde_json::from_value(json!({
            "id": "job_01jd9mz5w8e4wahj8k6t3v2q7r", "project_id": "prj_01jd9mz5w8e4wahj8k6t3v2q7r",
            "kind": "instance-create", "title": "Create orders", "state": state, "progress_percent": percent,
            "eta_seconds": 9, "steps": steps, "params": {}, "actor": "user:a", "cancellable": true,
            "retryable": false, "created_at": "2026-11-21T07:00:00Z", "etag": "1"
        }))
        .unwrap()
    }

    #[test]
    fn a_log_gets_one_line_for_each_change_and_none_for_what_stays() {
        let queued = job("queued", 0, &[("Place", "pending"), ("Start", "pending")]);
        let running = job("running", 40, &[("Place", "succeeded"), ("Start", "running")]);
        assert_eq!(lines(None, &queued), ["[  0 %] Create orders: queued, about 9 s left"]);
        assert_eq!(
            lines(Some(&queued), &running),
            ["[ 40 %] 1/2 ✓ Place", "[ 40 %] 2/2 … Start", "[ 40 %] Create orders: running, about 9 s left"]
        );
        assert!(lines(Some(&running), &running).is_empty());
    }

    #[test]
    fn each_broker_of_a_step_has_a_line_of_its_own_that_nothing_overwrites() {
        let (mut before, mut now) =
            (job("running", 0, &[("Push", "running")]), job("running", 33, &[("Push", "running")]));
        let part = |broker_id, state, detail: Option<&str>| StepBroker {
            broker_id,
            state,
            detail: detail.map(str::to_owned),
            changed_at: detail.map(|_| "2026-11-21T07:00:01Z".parse().unwrap()),
        };
        before.steps[0].brokers = vec![part(0, StepState::Pending, None), part(1, StepState::Pending, None)];
        now.steps[0].brokers =
            vec![part(0, StepState::Succeeded, Some("broker 0 has it")), part(1, StepState::Pending, None)];
        now.steps[0].detail = Some("broker 0 has it".to_owned());
        let shown: Vec<_> = all_lines(&now).map(|(_, line)| line).collect();
        assert_eq!(shown, ["… Push", "  ✓ broker 0 has it (2026-11-21T07:00:01Z)", "  · broker 1"]);
        assert_eq!(
            lines(Some(&before), &now).last().unwrap(),
            "[ 33 %] 1/1   ✓ broker 0 has it (2026-11-21T07:00:01Z)"
        );
    }
}
