//! Every statement of the store fits the schema: it prepares on a migrated database.

use crate::support::TestDatabase;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr};
use std::{
    fs,
    path::{Path, PathBuf},
};

#[tokio::test]
async fn every_statement_of_the_store_prepares() {
    let database = TestDatabase::create().await;
    let mut app = PgConnection::connect(&database.url("sluice_app")).await.unwrap();
    let mut files = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store"), &mut files);
    let (mut found, mut faults) = (0, Vec::new());
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        for statement in literals(source).into_iter().filter(|text| is_statement(text)) {
            found += 1;
            if let Err(error) = app.prepare(AssertSqlSafe(statement.clone()).into_sql_str()).await {
                faults.push(format!("{}: {error}\n{statement}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert!(found > 60, "only {found} statements were found");
}

pub(crate) fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

fn is_statement(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    ["select", "insert", "update", "delete", "with"].contains(&first) && text.split_whitespace().count() > 1
}

/// Contents of the string literals of a source; comments are skipped, escapes undone.
fn literals(source: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), source);
    while let Some(start) = rest.find(['"', '/', '\'']) {
        let (mark, after) = (&rest[start..start + 1], &rest[start + 1..]);
        if mark == "/" {
            rest = if after.starts_with('/') { after.split_once('\n').map_or("", |(_, next)| next) } else { after };
        } else if mark == "'" {
            // A character, or a lifetime.
            let mut letters = after.chars();
            let (first, second) = (letters.next(), letters.next());
            rest = match (first, second) {
                (Some('\\'), _) => after[1..].split_once('\'').map_or("", |(_, next)| next),
                (Some(_), Some('\'')) => after.split_once('\'').map_or("", |(_, next)| next),
                _ => after,
            };
        } else {
            let (mut text, mut end, mut escaped) = (String::new(), after.len(), false);
            for (place, letter) in after.char_indices() {
                match letter {
                    '\n' if escaped => escaped = false,
                    _ if escaped => {
                        text.push(letter);
                        escaped = false;
                    }
                    '\\' => escaped = true,
                    '"' => {
                        end = place + 1;
                        break;
                    }
                    _ => text.push(letter),
                }
            }
            found.push(text);
            rest = &after[end..];
        }
    }
    found
}
