//! Modules use only what docs/architecture draws an arrow to.

use crate::statements::walk;
use std::{collections::BTreeSet, fs, path::Path};

/// Module → what it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &[]),
    ("secrets", &[]),
    ("auth", &[]),
    ("pki", &[]),
    ("config", &["secrets"]),
    ("telemetry", &["config"]),
    ("store", &["domain", "secrets"]),
    ("kafka", &["domain", "pki"]),
    ("nodes", &["pki"]),
    // Traits of nodes and Kafka are what a platform consists of; the simulation implements them.
    ("drivers", &["domain", "kafka", "nodes", "clock", "pki"]),
    ("provisioned", &["domain", "kafka", "nodes", "secrets", "store"]),
    ("jobs::engine", &["jobs::engine", "store", "clock", "secrets"]),
    (
        "jobs::workflow",
        &[
            "jobs::engine",
            "jobs::workflow",
            "domain",
            "store",
            "drivers",
            "kafka",
            "nodes",
            "pki",
            "secrets",
            "provisioned",
        ],
    ),
    // Of app only what is no use case of anybody: the refresh of keys.
    (
        "loops",
        &[
            "domain",
            "store",
            "drivers",
            "kafka",
            "nodes",
            "pki",
            "clock",
            "secrets",
            "jobs::engine",
            "jobs::workflow",
            "provisioned",
            "app",
        ],
    ),
    (
        "app",
        // Of nodes only what touches nothing that we keep: who is connected, the end of a connection, and topics, which are Kafka's.
        &[
            "domain",
            "store",
            "jobs::engine",
            "jobs::workflow",
            "kafka",
            "nodes",
            "provisioned",
            "auth",
            "secrets",
            "pki",
            "clock",
            "telemetry",
        ],
    ),
    ("http", &["app", "domain", "telemetry"]),
];

#[test]
fn every_use_is_an_arrow() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&source, &mut files);
    let mut wrong = BTreeSet::new();
    for file in files {
        let relative = file.strip_prefix(&source).unwrap().with_extension("");
        let mut parts = relative.iter().map(|part| part.to_str().unwrap());
        let top = parts.next().unwrap_or_default();
        // The program itself puts everything together.
        if ["lib", "main", "commands"].contains(&top) {
            continue;
        }
        let module = if top == "jobs" { format!("jobs::{}", parts.next().unwrap_or_default()) } else { top.to_owned() };
        if module == "jobs::mod" {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
            panic!("{module}: say in ARROWS what it may use");
        };
        for used in uses(&fs::read_to_string(&file).unwrap()) {
            if used != module && !allowed.contains(&used.as_str()) {
                wrong.insert(format!("{}: {module} → {used}", relative.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that docs/architecture does not draw:\n{}",
        wrong.into_iter().collect::<Vec<_>>().join("\n")
    );
}

/// Modules of this crate that a source names, `jobs` with its second part.
fn uses(source: &str) -> BTreeSet<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (place, _) in code.match_indices("crate::") {
        let before = code[..place].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
            continue;
        }
        names(&code[place + "crate::".len()..], "", &mut found);
    }
    found
}

/// The first names of a path or of each branch of a tree of paths.
fn names(tree: &str, prefix: &str, found: &mut BTreeSet<String>) {
    let word: String = tree.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    if !word.is_empty() {
        let rest = &tree[word.len()..];
        if prefix.is_empty() && word == "jobs" {
            match rest.strip_prefix("::") {
                Some(deeper) => names(deeper, "jobs::", found),
                None => drop(found.insert("jobs".to_owned())),
            }
        } else {
            found.insert(format!("{prefix}{word}"));
        }
        return;
    }
    let Some(inside) = tree.strip_prefix('{') else { return };
    let (mut depth, mut start) = (0, 0);
    for (place, letter) in inside.char_indices() {
        match letter {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                names(inside[start..place].trim(), prefix, found);
                start = place + 1;
                if letter == '}' {
                    return;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
}
