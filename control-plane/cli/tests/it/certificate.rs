//! `sluice cert`: a keystore goes out as it is, its password comes from anywhere but the command line, and a change that
//! clients must be prepared for is asked about.

use crate::support::*;
use serde_json::{Value, json};

fn answer(request: &Request) -> Reply {
    let path = request.target.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path.rsplit('/').next().unwrap_or_default()) {
        ("GET", "instances") => Reply::page(&[instance("orders", "running")]),
        ("GET", "orders" | INSTANCE) => Reply::json(200, &instance("orders", "running")),
        ("GET", "certificate") => Reply::json(200, &certificate()),
        ("PUT", "certificate") if request.target.contains("dry_run") => Reply::json(200, &certificate_plan()),
        ("PUT", "certificate") => Reply::json(202, &job("succeeded", 2)),
        ("GET", JOB) => Reply::json(200, &job("succeeded", 2)),
        _ => standard(request),
    }
}

fn uploads(server: &Server) -> Vec<(String, Value)> {
    let seen = server.seen().into_iter().filter(|request| request.method == "PUT");
    seen.map(|request| (request.target, request.body)).collect()
}

#[test]
fn a_keystore_is_uploaded_with_passwords_of_file_environment_and_standard_input() {
    let server = Server::start(answer);
    let home = Home::signed_in(&server, 600);
    std::fs::write(home.file("server.jks"), [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]).unwrap();
    home.write("trust.p12", "0");
    home.write("word", "Heron-lake-17\nnot this");
    let line = "cert upload orders --keystore server.jks --keystore-password-file - --key-password-file word \
                --truststore trust.p12 --yes";
    let variables = [("SLUICE_TRUSTSTORE_PASSWORD", "Stork-reed-31")];
    home.run_with(line, &variables, "Egret-pond-23\n").expect(0);
    let uploads = uploads(&server);
    assert_eq!(uploads.len(), 2, "planned, then done");
    assert!(uploads[0].0.contains("dry_run=true") && !uploads[1].0.contains("dry_run"));
    let body = &uploads[1].1;
    assert_eq!(body["format"], "jks");
    assert_eq!(body["keystore"], "/u3+7QAAAAI=");
    assert_eq!(body["keystore_password"], "Egret-pond-23");
    assert_eq!(body["key_password"], "Heron-lake-17");
    assert_eq!(body["truststore_password"], "Stork-reed-31");
    assert_eq!(body.get("certificate_pem"), None);
}

#[test]
fn a_change_that_clients_must_be_prepared_for_is_not_made_unasked() {
    let server = Server::start(answer);
    let home = Home::signed_in(&server, 600);
    home.write("server.pem", "PEM");
    let ran = home.run("cert upload orders --certificate server.pem --key server.pem").expect(2);
    assert!(ran.err.contains("clients must trust CN=Acme Root"), "{}", ran.err);
    assert_eq!(uploads(&server).len(), 1, "the plan only");
    let ran = home.run("cert upload orders --certificate server.pem --key server.pem --dry-run").expect(0);
    assert!(ran.out.contains("Acme Root") && ran.out.contains("Nothing was changed"), "{}", ran.out);
    home.run("cert upload orders --keystore server.pem").expect(2);
    home.run("cert upload orders").expect(2);
}

#[test]
fn what_is_shown_and_what_was_are_tables() {
    let server = Server::start(answer);
    let home = Home::signed_in(&server, 600);
    let shown = home.run("cert show orders").expect(0).out;
    assert!(shown.contains("819") && shown.contains("CN=Acme Root"), "{shown}");
    let history = home.run("cert history orders").expect(0).out;
    assert!(history.contains("uploaded") && history.contains("rotated"), "{history}");
}

#[test]
fn a_certificate_that_ends_soon_says_so() {
    let notices = [(3, "3 days left, or fewer"), (1, "1 day left, or less"), (0, "less than a day left, or none")];
    for (days, told) in notices {
        let server = Server::start(move |request| {
            let mut ending = certificate();
            ending["days_left"] = json!(days);
            ending["notices"] = json!([
                {"days_left": 7, "at": "2026-11-21T07:00:00Z"}, {"days_left": days, "at": "2026-11-25T07:00:00Z"},
            ]);
            match request.target.ends_with("/certificate") {
                true => Reply::json(200, &ending),
                false => answer(request),
            }
        });
        let shown = Home::signed_in(&server, 600).run("cert show orders").expect(0).out;
        let line = |label: &str| shown.lines().find_map(|line| line.strip_prefix(label)).unwrap_or_default().trim();
        assert_eq!(line("Days left:"), days.to_string());
        assert_eq!(line("Notice:"), format!("{told} (told 2026-11-25T07:00:00Z)"));
    }
}
