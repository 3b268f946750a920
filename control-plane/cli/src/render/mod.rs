//! Standard output: data, in the form that was asked for. Standard error: talk.
//!
//! Owns formats and nothing that decides. A table is what a [`Row`] says; JSON, YAML and JSONPath print what the
//! server sent. Writing to a pipe that was closed ends the program quietly.

pub mod csv;
pub mod jsonpath;
pub mod rows;
pub mod table;
pub mod yaml;

use crate::{client::Doc, error::Result};
use chrono::{DateTime, SecondsFormat, Utc};
use control_plane_api::money::Money;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
    str::FromStr,
};

/// `-o`.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    Table,
    Wide,
    Json,
    Yaml,
    Csv,
    Name,
    JsonPath(jsonpath::Path),
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(expression) = text.strip_prefix("jsonpath=") {
            return expression.parse().map(Self::JsonPath);
        }
        Ok(match text {
            "table" => Self::Table,
            "wide" => Self::Wide,
            "json" => Self::Json,
            "yaml" => Self::Yaml,
            "csv" => Self::Csv,
            "name" => Self::Name,
            _ => return Err("one of table, wide, json, yaml, csv, name, jsonpath=EXPRESSION".to_owned()),
        })
    }
}

impl Format {
    /// How a profile keeps it; a path is for one call only.
    pub fn keyword(&self) -> Option<&'static str> {
        match self {
            Self::Table => Some("table"),
            Self::Wide => Some("wide"),
            Self::Json => Some("json"),
            Self::Yaml => Some("yaml"),
            Self::Csv => Some("csv"),
            Self::Name => Some("name"),
            Self::JsonPath(_) => None,
        }
    }
}

/// What a resource looks like in a table.
pub trait Row: DeserializeOwned + Sized + 'static {
    const COLUMNS: &'static [Column<Self>];

    /// What `-o name` prints: how commands call it.
    fn name(&self) -> String;

    /// Label and text of each line of `get`; all columns unless there is more to tell.
    fn details(&self) -> Vec<(String, String)> {
        Self::COLUMNS.iter().map(|column| (column.title.to_owned(), (column.cell)(self))).collect()
    }
}

#[derive(Debug)]
pub struct Column<T> {
    pub title: &'static str,
    /// Only under `-o wide` and `-o csv`.
    pub wide: bool,
    pub cell: fn(&T) -> String,
}

pub const fn col<T>(title: &'static str, cell: fn(&T) -> String) -> Column<T> {
    Column { title, wide: false, cell }
}

pub const fn wide<T>(title: &'static str, cell: fn(&T) -> String) -> Column<T> {
    Column { title, wide: true, cell }
}

#[derive(Debug, Clone)]
pub struct Output {
    pub format: Format,
    pub color: bool,
}

impl Output {
    pub fn new(format: Format, color: bool) -> Self {
        Self { format, color: color && io::stdout().is_terminal() }
    }

    /// Whether a person reads it, rather than a program.
    pub fn for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    pub fn list<T: Row>(&self, docs: &[Doc<T>]) -> Result<()> {
        let values = || Value::Array(docs.iter().map(|doc| doc.value.clone()).collect());
        if self.structured(values)? {
            return Ok(());
        }
        let rows = docs.iter().map(Doc::typed).collect::<Result<Vec<T>>>()?;
        match self.format {
            Format::Csv => self.text(&csv::rows(&rows)),
            Format::Name => rows.iter().try_for_each(|row| self.line(&row.name())),
            _ if rows.is_empty() => {
                say("none");
                Ok(())
            }
            _ => self.text(&table::rows(&rows, self.format == Format::Wide, self.color)),
        }
    }

    pub fn one<T: Row>(&self, doc: &Doc<T>) -> Result<()> {
        if self.structured(|| doc.value.clone())? {
            return Ok(());
        }
        let row = doc.typed()?;
        match self.format {
            Format::Csv => self.text(&csv::rows(&[row])),
            Format::Name => self.line(&row.name()),
            _ => self.text(&table::details(&row.details(), self.color)),
        }
    }

    /// A document of which people see `text`.
    pub fn value(&self, value: &Value, name: &str, text: &str) -> Result<()> {
        if self.structured(|| value.clone())? {
            return Ok(());
        }
        if self.format == Format::Name { self.line(name) } else { self.text(text) }
    }

    /// Prints the value if the format is one of whole documents.
    fn structured(&self, value: impl FnOnce() -> Value) -> Result<bool> {
        match &self.format {
            Format::Json => self.line(&format!("{:#}", value()))?,
            Format::Yaml => self.text(&yaml::text(&value()))?,
            Format::JsonPath(path) => self.line(&path.text(&value()))?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub fn line(&self, text: &str) -> Result<()> {
        self.text(&format!("{text}\n"))
    }

    pub fn text(&self, text: &str) -> Result<()> {
        self.bytes(text.as_bytes())
    }

    pub fn bytes(&self, bytes: &[u8]) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(())
    }
}

/// A line of talk. That nobody listens is no fault.
pub fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// The text of a value in JSON, such as an enum's `create-failed`; a dash for null.
pub fn enum_text<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(Value::Null) => dash(),
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

pub fn time(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub fn time_or_dash(at: &Option<DateTime<Utc>>) -> String {
    at.as_ref().map_or_else(dash, time)
}

pub fn or_dash<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(dash, T::to_string)
}

pub fn dash() -> String {
    "-".to_owned()
}

pub fn money(money: &Money) -> String {
    format!("{} {}", money.amount, enum_text(&money.currency))
}

/// `42 s`, `3 min 5 s`, `2 h 10 min`.
/// In powers of ten, as disks and bandwidth are sold: three digits.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut amount, mut unit) = (bytes as f64, 0);
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || amount >= 99.95 { 0 } else { 1 };
    format!("{amount:.digits$} {}", UNITS[unit])
}

pub fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => "under 1 s".to_owned(),
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}
