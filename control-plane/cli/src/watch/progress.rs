//! A job on the screen: a bar for the whole and a line for each step and broker on a terminal, a log elsewhere.

use super::changes;
use crate::render::{duration, say};
use control_plane_api::job::{Job, StepState};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

#[derive(Debug)]
pub enum View {
    Bars(Bars),
    Log(Option<Box<Job>>),
}

#[derive(Debug)]
pub struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
    /// Of steps and brokers.
    lines: Vec<ProgressBar>,
}

impl View {
    pub fn new() -> Self {
        if io::stderr().is_terminal() { Self::Bars(Bars::new()) } else { Self::Log(None) }
    }

    pub fn show(&mut self, job: &Job) {
        match self {
            Self::Bars(bars) => bars.show(job),
            Self::Log(before) => {
                changes::lines(before.as_deref(), job).iter().for_each(say);
                *before = Some(Box::new(job.clone()));
            }
        }
    }

    /// A passing remark, such as a lost connection.
    pub fn remark(&self, text: &str) {
        match self {
            Self::Bars(bars) => {
                let _ = bars.all.println(text);
            }
            Self::Log(_) => say(text),
        }
    }

    /// Leaves the last picture standing.
    pub fn end(&mut self) {
        if let Self::Bars(bars) = self {
            bars.lines.iter().for_each(ProgressBar::abandon);
            bars.whole.abandon();
        }
    }
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let whole = all.add(ProgressBar::new(100));
        whole.set_style(style("{spinner:.cyan} {prefix:.bold} [{bar:28.green}] {percent:>3} % {msg}"));
        whole.enable_steady_tick(Duration::from_millis(120));
        Self { all, whole, lines: Vec::new() }
    }

    fn show(&mut self, job: &Job) {
        self.whole.set_prefix(changes::title(job));
        self.whole.set_position(u64::from(job.progress_percent.min(100)));
        self.whole.set_message(match job.eta_seconds {
            Some(seconds) if !job.state.ended() => format!("about {} left", duration(seconds)),
            _ => crate::render::enum_text(&job.state),
        });
        for (at, (state, line)) in changes::all_lines(job).enumerate() {
            if at == self.lines.len() {
                let bar = self.all.add(ProgressBar::new(1));
                bar.set_style(style("  {msg}"));
                self.lines.push(bar);
            }
            self.lines[at].set_message(match state {
                StepState::Succeeded => paint(32, &line),
                StepState::Failed => paint(31, &line),
                StepState::Running => paint(36, &line),
                _ => paint(2, &line),
            });
            self.lines[at].tick();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a wrong one falls back to the library's.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━╌")
}

fn paint(code: u8, text: &str) -> String {
    if std::env::var_os("NO_COLOR").is_some() { text.to_owned() } else { format!("\u{1b}[{code}m{text}\u{1b}[0m") }
}
