//! The metrics of an instance, in Prometheus' text format.
//!
//! Read from OpenMetrics as nodes write it or from the text format 0.0.4, written as the latter: both sides of the API
//! use it. <https://prometheus.io/docs/instrumenting/exposition_formats/>

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt::{self, Display, Write as _},
    str::FromStr,
};

/// Media type of what [`Exposition`] is written as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a sample's name may have beyond its family's.
const ENDINGS: [&str; 7] = ["", "_total", "_info", "_created", "_bucket", "_sum", "_count"];

/// Families by name; in their samples, labels by name. Written steadily: what is the same reads the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exposition(BTreeMap<String, Family>);

/// Samples of one metric.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Family {
    help: String,
    kind: String,
    samples: Vec<MetricSample>,
}

/// A value with what it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// As it was written; also `NaN`, `+Inf` and `-Inf`.
    pub value: String,
}

/// A line that is none of the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no metric")]
pub struct NotMetrics {
    /// From 1.
    line: usize,
}

impl Exposition {
    /// Adds a gauge of one sample.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        let family = self.0.entry(name.to_owned()).or_default();
        (family.help, family.kind) = (help.to_owned(), "gauge".to_owned());
        let labels = labels.iter().map(|(label, of)| ((*label).to_owned(), (*of).to_owned())).collect();
        family.samples.push(MetricSample { name: name.to_owned(), labels, value: value.to_string() });
    }

    /// Leaves the families whose names are wanted. A name is without the `_total` and `_info` of samples where the text was
    /// OpenMetrics.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| wanted(name));
    }

    /// Takes over all samples of `other`, with these labels: in place of any that they have by the same names.
    pub fn add(&mut self, other: Self, labels: &[(&str, &str)]) {
        for (name, mut added) in other.0 {
            for sample in &mut added.samples {
                sample.labels.extend(labels.iter().map(|(label, of)| ((*label).to_owned(), (*of).to_owned())));
            }
            match self.0.get_mut(&name) {
                Some(family) => family.samples.append(&mut added.samples),
                None => drop(self.0.insert(name, added)),
            }
        }
    }

    pub fn samples(&self) -> impl Iterator<Item = &MetricSample> {
        self.0.values().flat_map(|family| &family.samples)
    }
}

impl FromStr for Exposition {
    type Err = NotMetrics;

    fn from_str(text: &str) -> Result<Self, NotMetrics> {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        for (number, line) in text.lines().enumerate() {
            let wrong = || NotMetrics { line: number + 1 };
            if let Some(comment) = line.strip_prefix('#') {
                let mut words = comment.trim_start().splitn(3, ' ');
                let (word, name, rest) = (words.next(), words.next(), words.next().unwrap_or_default());
                match (word, name) {
                    (Some("HELP"), Some(name)) => families.entry(name.to_owned()).or_default().help = rest.to_owned(),
                    (Some("TYPE"), Some(name)) => {
                        families.entry(name.to_owned()).or_default().kind = rest.to_owned();
                        current = name.to_owned();
                    }
                    _ => {}
                }
            } else if !line.trim().is_empty() {
                let sample = sample(line).ok_or_else(wrong)?;
                let ending = sample.name.strip_prefix(&current);
                if !ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
                    current.clone_from(&sample.name);
                }
                families.entry(current.clone()).or_default().samples.push(sample);
            }
        }
        families.retain(|_, family| !family.samples.is_empty());
        Ok(Self(families))
    }
}

/// `name{label="value"} 1`; what follows the value, a time or an exemplar, is left out.
fn sample(line: &str) -> Option<MetricSample> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            rest = rest.trim_start_matches([',', ' ']);
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, quoted) = rest.split_once("=\"")?;
            let (value, after) = unquoted(quoted)?;
            labels.insert(label.to_owned(), value);
            rest = after;
        }
    }
    let value = rest.split_whitespace().next().filter(|value| value.parse::<f64>().is_ok())?;
    (!name.is_empty()).then(|| MetricSample { name: name.to_owned(), labels, value: value.to_owned() })
}

/// The text up to the closing quote, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            (_, other) => value.push(other),
        }
    }
}

impl Display for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, Family { help, kind, samples }) in &self.0 {
            // What OpenMetrics adds to names of samples belongs to the family's name here.
            let (ending, kind) = match kind.as_str() {
                "counter" if !name.ends_with("_total") => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                known @ ("counter" | "gauge" | "histogram" | "summary") => ("", known),
                _ => ("", "untyped"),
            };
            if !help.is_empty() {
                writeln!(f, "# HELP {name}{ending} {help}")?;
            }
            writeln!(f, "# TYPE {name}{ending} {kind}")?;
            // Nodes tell theirs in any order. A histogram's stay as they came, its buckets in the order of their bounds.
            let mut samples: Vec<_> = samples.iter().collect();
            samples.sort_by(|one, other| one.of().cmp(other.of()));
            samples.into_iter().try_for_each(|sample| writeln!(f, "{} {}", sample.series(), sample.value))?;
        }
        Ok(())
    }
}

impl MetricSample {
    /// `name{label="value"}`: what tells it from all others.
    pub fn series(&self) -> impl Display {
        fmt::from_fn(|f| self.write_series(f))
    }

    /// The labels that tell what is measured, without those that tell a sample from others of one measurement.
    fn of(&self) -> impl Iterator<Item = (&String, &String)> {
        self.labels.iter().filter(|(label, _)| !matches!(label.as_str(), "le" | "quantile"))
    }

    fn write_series(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let mut before = '{';
        for (label, value) in &self.labels {
            write!(f, "{before}{label}=\"")?;
            for c in value.chars() {
                match c {
                    '\n' => f.write_str("\\n")?,
                    '"' | '\\' => write!(f, "\\{c}")?,
                    other => f.write_char(other)?,
                }
            }
            f.write_char('"')?;
            before = ',';
        }
        f.write_str(if self.labels.is_empty() { "" } else { "}" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "\
# HELP sluice_node_refused Refused.
# TYPE sluice_node_refused counter
sluice_node_refused_total{path=\"private\",reason=\"a \\\"b\\\" \\\\ {c}, d\\ne\"} 3 # {trace=\"x\"} 1
# HELP sluice_node_paused_seconds Time.
# TYPE sluice_node_paused_seconds counter
# UNIT sluice_node_paused_seconds seconds
sluice_node_paused_seconds_total{direction=\"in\"} 0.5
# HELP sluice_node_ready Ready.
# TYPE sluice_node_ready gauge
sluice_node_ready 1
# HELP sluice_node_build Version.
# TYPE sluice_node_build info
sluice_node_build_info{version=\"0.1.0\"} 1
# EOF
";

    #[test]
    fn what_nodes_say_is_put_together_by_family_with_labels() {
        let mut all = Exposition::default();
        for broker in ["1", "2"] {
            let mut node: Exposition = NODE.parse().unwrap();
            node.retain(|name| name != "sluice_node_build");
            all.gauge("sluice_node_up", "Answers.", &[("broker", broker)], 1);
            all.add(node, &[("broker", broker)]);
        }
        let written = "\
# HELP sluice_node_paused_seconds_total Time.
# TYPE sluice_node_paused_seconds_total counter
sluice_node_paused_seconds_total{broker=\"1\",direction=\"in\"} 0.5
sluice_node_paused_seconds_total{broker=\"2\",direction=\"in\"} 0.5
# HELP sluice_node_ready Ready.
# TYPE sluice_node_ready gauge
sluice_node_ready{broker=\"1\"} 1
sluice_node_ready{broker=\"2\"} 1
# HELP sluice_node_refused_total Refused.
# TYPE sluice_node_refused_total counter
sluice_node_refused_total{broker=\"1\",path=\"private\",reason=\"a \\\"b\\\" \\\\ {c}, d\\ne\"} 3
sluice_node_refused_total{broker=\"2\",path=\"private\",reason=\"a \\\"b\\\" \\\\ {c}, d\\ne\"} 3
# HELP sluice_node_up Answers.
# TYPE sluice_node_up gauge
sluice_node_up{broker=\"1\"} 1
sluice_node_up{broker=\"2\"} 1
";
        assert_eq!(all.to_string(), written);
        let read: Exposition = written.parse().unwrap();
        assert_eq!(read.to_string(), written, "the other side reads it as it was");
        assert_eq!(read.samples().count(), 8);
        assert_eq!(read.samples().nth(4).unwrap().labels["reason"], "a \"b\" \\ {c}, d\ne");
    }

    #[test]
    fn samples_are_written_in_one_order_however_nodes_tell_them() {
        let (a, b) = ("n_total{broker=\"1\",path=\"a\"} 1\n", "n_total{broker=\"1\",path=\"b\"} 2\n");
        let other = "n_total{broker=\"2\"} 3\n";
        let written = format!("# TYPE n_total counter\n{a}{b}{other}");
        for told in [[a, b, other], [other, b, a], [b, other, a]] {
            let mut all = Exposition::default();
            for lines in told {
                all.add(format!("# TYPE n_total counter\n{lines}").parse().unwrap(), &[]);
            }
            assert_eq!(all.to_string(), written, "{told:?}");
        }
    }

    #[test]
    fn buckets_of_a_histogram_stay_in_the_order_of_their_bounds() {
        let of = |path: &str| {
            ["_bucket{le=\"2\",", "_bucket{le=\"10\",", "_bucket{le=\"+Inf\",", "_sum{", "_count{"]
                .map(|sample| format!("t{sample}path=\"{path}\"}} 1\n"))
                .concat()
        };
        let (a, b) = (of("a"), of("b"));
        let read: Exposition = format!("# TYPE t histogram\n{b}{a}").parse().unwrap();
        assert_eq!(read.to_string(), format!("# TYPE t histogram\n{a}{b}"));
    }

    #[test]
    fn a_label_of_ours_takes_the_place_of_a_nodes_own() {
        let mut all = Exposition::default();
        all.add("# TYPE a gauge\na{broker=\"9\"} 1\n".parse().unwrap(), &[("broker", "1")]);
        assert_eq!(all.to_string(), "# TYPE a gauge\na{broker=\"1\"} 1\n");
    }

    #[test]
    fn info_is_a_gauge_and_what_has_no_type_is_untyped() {
        let text: Exposition = "# TYPE a info\na_info{v=\"1\"} 1\na_b +Inf\n".parse().unwrap();
        assert_eq!(text.to_string(), "# TYPE a_info gauge\na_info{v=\"1\"} 1\n# TYPE a_b untyped\na_b +Inf\n");
    }

    #[test]
    fn what_is_no_metric_is_refused_with_its_line() {
        for text in ["a{b=\"c} 1", "a{b=\"c\"", "a{b} 1", "a", "a x", "{} 1", "<html>"] {
            assert_eq!(format!("ok 1\n{text}\n").parse::<Exposition>(), Err(NotMetrics { line: 2 }), "{text}");
        }
    }
}
