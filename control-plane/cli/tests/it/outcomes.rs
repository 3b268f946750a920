//! What a script sees: exit codes, and problems told in full.

use crate::support::*;
use serde_json::json;

#[test]
fn each_kind_of_refusal_has_its_exit_code() {
    for (status, code, exit) in [
        (404, "not-found", 3),
        (409, "name-taken", 4),
        (412, "etag-mismatch", 4),
        (422, "validation-failed", 4),
        (401, "unauthenticated", 5),
        (403, "forbidden", 5),
        (409, "quota-exceeded", 6),
        (500, "internal", 1),
    ] {
        let server = Server::start(move |_| Reply::problem(status, code));
        let home = Home::new();
        let ran = home.run_with("catalog specs", &[("SLUICE_URL", &server.url), ("SLUICE_API_KEY", "slk_x")], "");
        let ran = ran.expect(exit);
        assert!(ran.out.is_empty(), "{}", ran.out);
        assert!(ran.err.contains(&format!("code: {code}, request id: req-1")), "{}", ran.err);
    }
}

#[test]
fn a_wrong_command_line_is_usage_and_help_is_not() {
    let home = Home::new();
    home.run("instance create").expect(2);
    home.run("no-such-command").expect(2);
    home.run("-o xml catalog specs").expect(2);
    home.run("--help").expect(0);
    home.run("--version").expect(0);
}

#[test]
fn a_server_that_cannot_be_reached_is_a_network_fault() {
    // Port 1 of loopback: nothing listens there.
    let ran = Home::new()
        .run_with("whoami", &[("SLUICE_URL", "http://127.0.0.1:1"), ("SLUICE_API_KEY", "slk_x")], "")
        .expect(10);
    assert!(ran.err.contains("http://127.0.0.1:1/ cannot be reached"), "{}", ran.err);
}

#[test]
fn every_fault_of_an_order_is_told_with_its_field() {
    let server = Server::start(|request| match request.line() {
        line if line == format!("POST {}", of_project("quotes")) => Reply::json(
            422,
            &json!({"type": "/docs/errors/validation-failed", "title": "The request breaks a rule", "status": 422,
                "detail": "2 fields are not accepted.", "instance": "/", "code": "validation-failed",
                "request_id": "req-9", "errors": [
                    {"pointer": "/zones", "code": "two-zones", "detail": "one zone, or three and more"},
                    {"pointer": "/storage_gb", "code": "out-of-range", "detail": "600 to 90000 for kafka.100"}]}),
        ),
        _ => standard(request),
    });
    let home = Home::signed_in(&server, 600);
    let ran = home.run("quote --spec 100 --zones a,b --storage 1 --disk high").expect(4);
    assert_eq!(
        ran.err,
        "error: The request breaks a rule\n  2 fields are not accepted.\n  \
         - /zones: one zone, or three and more (two-zones)\n  \
         - /storage_gb: 600 to 90000 for kafka.100 (out-of-range)\n  \
         code: validation-failed, request id: req-9\n"
    );
}

#[test]
fn a_name_that_is_not_there_is_answered_with_near_ones() {
    let server = Server::start(|request| match request.target.as_str() {
        target if target.starts_with(&of_project("instances?")) => Reply::page(&[instance("orders", "running")]),
        _ => standard(request),
    });
    let ran = Home::signed_in(&server, 600).run("instance get ordres").expect(3);
    assert!(ran.err.contains("there is no instance \"ordres\""), "{}", ran.err);
    assert!(ran.err.contains("did you mean orders?"), "{}", ran.err);
}

#[test]
fn reads_are_sent_again_when_the_server_is_busy() {
    let server = Server::start(|request| match request.before {
        0 => Reply::problem(503, "unavailable").header("retry-after", "0"),
        1 => Reply::problem(429, "rate-limited").header("retry-after", "0"),
        2 => Reply::hang_up(),
        _ => standard(request),
    });
    let home = Home::signed_in(&server, 600);
    home.run("whoami").expect(0);
    assert_eq!(server.seen_of("GET /v1/me").len(), 4);
}

#[test]
fn a_long_pause_asked_for_is_told_not_waited() {
    let server = Server::start(|_| Reply::problem(429, "rate-limited").header("retry-after", "3600"));
    let home = Home::signed_in(&server, 600);
    home.run("whoami").expect(6);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_write_without_a_key_is_not_sent_again_after_it_may_have_been_done() {
    let server = Server::start(|request| match request.line().as_str() {
        "POST /v1/x" => Reply::hang_up(),
        _ => standard(request),
    });
    let home = Home::signed_in(&server, 600);
    home.run("api POST /v1/x -d {}").expect(10);
    assert_eq!(server.seen_of("POST /v1/x").len(), 1);
    home.run("api POST /v1/x -d {} --idempotency-key k1").expect(10);
    let keys: Vec<_> = server.seen().iter().filter_map(|r| r.header("idempotency-key").map(str::to_owned)).collect();
    assert!(keys.len() > 1 && keys.iter().all(|key| key == "k1"), "{keys:?}");
}
