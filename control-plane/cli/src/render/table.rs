//! Tables and lists of labels for people.

use super::Row;
use comfy_table::{Cell, Color, ContentArrangement, Table, TableStyle};
use std::fmt::Write as _;

/// One line a row, columns parted by two spaces, no rules: it greps and cuts.
pub fn rows<T: Row>(rows: &[T], wide: bool, color: bool) -> String {
    let columns: Vec<_> = T::COLUMNS.iter().filter(|column| wide || !column.wide).collect();
    let mut table = plain_table();
    table.set_header(columns.iter().map(|column| column.title).collect::<Vec<_>>());
    for row in rows {
        table.add_row(columns.iter().map(|column| cell((column.cell)(row), color)).collect::<Vec<_>>());
    }
    if color {
        table.enforce_styling();
    }
    trimmed(&table)
}

/// A table of texts, for what is not a list of resources.
pub fn texts(header: &[&str], lines: &[Vec<String>]) -> String {
    let mut table = plain_table();
    table.set_header(header.to_vec());
    for line in lines {
        table.add_row(line.clone());
    }
    trimmed(&table)
}

pub fn details(details: &[(String, String)], color: bool) -> String {
    let width = details.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0) + 3;
    let mut text = String::new();
    for (label, value) in details {
        let mut lines = value.lines();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(text, "{:<width$}{}", format!("{label}:"), tinted(first, color));
        for line in lines {
            let _ = writeln!(text, "{:<width$}{line}", "");
        }
    }
    text
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::default());
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.force_no_tty();
    table
}

fn trimmed(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        // Each cell is padded by one space on both sides; the first column starts at the margin.
        let line = line.strip_prefix(' ').unwrap_or(&line).trim_end();
        let _ = writeln!(text, "{line}");
    }
    text
}

fn cell(text: String, color: bool) -> Cell {
    let tint = if color { tint(&text) } else { None };
    let cell = Cell::new(text.replace('\n', " "));
    match tint {
        Some((color, _)) => cell.fg(color),
        None => cell,
    }
}

fn tinted(text: &str, color: bool) -> String {
    match tint(text).filter(|_| color) {
        Some((_, code)) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        None => text.to_owned(),
    }
}

/// Good states green, bad ones red, those on their way yellow.
fn tint(text: &str) -> Option<(Color, u8)> {
    match text {
        "running" | "succeeded" | "ready" | "accepted" => Some((Color::Green, 32)),
        "faulty" | "failed" | "create-failed" | "change-failed" | "stuck" | "refused" => Some((Color::Red, 31)),
        "creating" | "starting" | "restarting" | "changing" | "deleting" | "freezing" | "queued" | "unwinding"
        | "cancelling" => Some((Color::Yellow, 33)),
        _ => None,
    }
}
