//! Formats of the data, closed pipes, completion, the reference page.

use crate::support::*;
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
};

fn shelf() -> Server {
    Server::start(|request| match request.line() {
        line if line == format!("GET {}", of_project("instances")) => {
            let mut unknown = instance("payments", "creating");
            unknown["a_field_of_tomorrow"] = json!("kept");
            Reply::page(&[instance("orders", "running"), unknown])
        }
        _ => standard(request),
    })
}

#[test]
fn tables_show_what_is_looked_for_first_and_wide_ones_show_more() {
    let server = shelf();
    let home = Home::signed_in(&server, 600);
    let ran = home.run("instance list").expect(0);
    assert_eq!(
        ran.out,
        "NAME      ID                              STATE     SPEC       KAFKA  ZONES                       STORAGE      CREATED\n\
         orders    ins_01jd9mz5w8e4wahj8k6t3v2q7s  running   kafka.100  4.3.1  local-1a,local-1b,local-1c  600 GB high  2026-11-21T07:00:00Z\n\
         payments  ins_01jd9mz5w8e4wahj8k6t3v2q7s  creating  kafka.100  4.3.1  local-1a,local-1b,local-1c  600 GB high  2026-11-21T07:00:00Z\n"
    );
    let wide = home.run("instance list -o wide").expect(0).out;
    assert!(wide.contains("127.1.0.1:9093") && wide.contains("env=prod"), "{wide}");
}

#[test]
fn documents_are_printed_as_the_server_sent_them() {
    let server = shelf();
    let home = Home::signed_in(&server, 600);
    let listed = home.run("instance list -o json").expect(0).json();
    assert_eq!(listed[1]["a_field_of_tomorrow"], "kept");
    let yaml = home.run("instance list -o yaml").expect(0).out;
    assert!(yaml.contains("a_field_of_tomorrow: kept") && yaml.contains("price_per_hour: \"2.71\""), "{yaml}");
    assert_eq!(home.run("instance list -o name").expect(0).out, "orders\npayments\n");
    assert_eq!(home.run("instance list -o jsonpath=[*].state").expect(0).out, "running\ncreating\n");
    let csv = home.run("instance list -o csv").expect(0).out;
    assert!(csv.starts_with("name,id,state,spec,kafka,zones,storage,price,"), "{csv}");
    assert!(csv.contains("\r\norders,ins_01jd9mz5w8e4wahj8k6t3v2q7s,running,"), "{csv}");
}

#[test]
fn metrics_are_a_table_for_people_whole_for_programs_and_as_they_were_for_prometheus() {
    let server = Server::start(|request| match request.line() {
        line if line.ends_with("/metrics/prometheus") => Reply::text(200, "text/plain", METRICS.to_owned()),
        line if line.ends_with("/instances/orders") => Reply::json(200, &instance("orders", "running")),
        _ => standard(request),
    });
    let home = Home::signed_in(&server, 600);
    let ran = home.run("instance metrics orders").expect(0);
    assert_eq!(
        ran.out,
        "METRIC                                 BROKER  LABELS                                VALUE\n\
         sluice_node_connections_refused_total  1       path=private-plaintext,reason=kicked  7\n\
         sluice_node_up                         1       -                                     1\n\
         sluice_node_up                         2       -                                     0\n"
    );
    assert!(ran.err.contains("1 counter(s) at 0 left out"), "{}", ran.err);
    let every = home.run("instance metrics orders -q refused --all").expect(0);
    assert_eq!((every.out.lines().count(), every.err.as_str()), (3, ""));
    let told = home.run("instance metrics orders -o json").expect(0).json();
    assert_eq!(told.as_array().unwrap().len(), 4);
    assert_eq!((&told[0]["value"], &told[0]["labels"]["reason"]), (&json!("0"), &json!("idle")));
    let csv = home.run("instance metrics orders -q up -o csv").expect(0).out;
    assert_eq!(csv, "metric,broker,labels,value\r\nsluice_node_up,1,,1\r\nsluice_node_up,2,,0\r\n");
    let names = home.run("instance metrics orders -q up -o name").expect(0).out;
    assert!(names.starts_with("sluice_node_up{broker=\"1\","), "{names}");
    assert_eq!(home.run("instance metrics orders --prometheus").expect(0).out, METRICS);
}

#[test]
fn an_empty_list_is_no_data_and_a_word_to_the_reader() {
    let server = Server::start(|request| match request.target.contains("instances") {
        true => Reply::page(&[]),
        false => standard(request),
    });
    let home = Home::signed_in(&server, 600);
    let ran = home.run("instance list").expect(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "none\n"));
    assert_eq!(home.run("instance list -o json").expect(0).json(), json!([]));
}

#[test]
fn lists_are_read_page_by_page() {
    let server = Server::start(|request| {
        if !request.target.contains("/jobs") {
            return standard(request);
        }
        let next = if request.target.contains("cursor=c2") { Value::Null } else { json!("c2") };
        let items: Vec<_> = (0..200).map(|_| job("succeeded", 2)).collect();
        Reply::json(200, &json!({ "items": items, "next_cursor": next }))
    });
    let home = Home::signed_in(&server, 600);
    assert_eq!(home.run("job list --all -o name").expect(0).out.lines().count(), 400);
    assert_eq!(home.run("job list -o name").expect(0).out.lines().count(), 200);
    assert_eq!(home.run("job list --limit 3 -o name").expect(0).out.lines().count(), 3);
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let server = Server::start(|request| match request.target.contains("/jobs") {
        // Much more than a pipe holds.
        true => Reply::page(&(0..3000).map(|_| job("succeeded", 2)).collect::<Vec<_>>()),
        false => standard(request),
    });
    let home = Home::signed_in(&server, 600);
    let mut child = home.start("job list --limit 3000 -o json");
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let ran = finish(child).expect(0);
    assert_eq!((first.as_str(), ran.err.as_str()), ("[\n", ""));
}

#[test]
fn completion_scripts_are_made_for_each_shell() {
    for (shell, word) in [("bash", "_sluice()"), ("zsh", "#compdef sluice"), ("fish", "complete -c sluice")] {
        let script = Home::new().run(&format!("completion {shell}")).expect(0).out;
        assert!(script.contains(word) && script.contains("failed-creation"), "{shell}");
    }
}

#[test]
fn the_reference_page_is_fresh() {
    let home = Home::new();
    home.run("docs --out cli.md").expect(0);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let committed = std::fs::read_to_string(page).unwrap_or_default();
    assert!(
        committed == home.read("cli.md"),
        "docs/reference/cli.md is stale: run `cargo run -p sluice -- docs --out docs/reference/cli.md`"
    );
}
