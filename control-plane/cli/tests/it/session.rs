//! Signing in, and tokens that are renewed once however many processes want it.

use crate::support::*;
use std::os::unix::fs::PermissionsExt as _;

/// Takes each refresh token once; using one again ends everything, as the real server does.
fn rotating() -> Server {
    Server::start(|request| match request.line().as_str() {
        "POST /v1/auth/token" if request.body["grant_type"] == "refresh-token" => {
            let spent = request.body["refresh_token"].as_str().unwrap_or_default().to_owned();
            if request.before == 0 && spent == "refresh-0" {
                // Long enough that a second process finds the exchange under way.
                std::thread::sleep(std::time::Duration::from_millis(300));
                Reply::json(200, &tokens(1))
            } else {
                Reply::problem(401, "invalid-credentials")
            }
        }
        "POST /v1/auth/token" => match request.body["password"].as_str() {
            Some("right horse battery") => Reply::json(200, &tokens(1)),
            _ => Reply::problem(401, "invalid-credentials"),
        },
        "POST /v1/auth/revoke" => Reply::json(204, &serde_json::Value::Null),
        _ if request.header("authorization") == Some("Bearer access-0") => Reply::problem(401, "unauthenticated"),
        _ => standard(request),
    })
}

#[test]
fn processes_that_run_at_once_spend_a_refresh_token_once() {
    let server = rotating();
    // The token has run out, so that every process wants a new one.
    let home = Home::signed_in(&server, -5);
    let running: Vec<_> = (0..6).map(|_| home.start("whoami")).collect();
    for child in running {
        finish(child).expect(0);
    }
    assert_eq!(server.seen_of("POST /v1/auth/token").len(), 1);
    assert!(home.read("credentials.toml").contains("refresh-1"));
}

#[test]
fn a_token_that_the_server_no_longer_takes_is_renewed_on_the_way() {
    let server = rotating();
    // By this machine's clock it is good for a while.
    let home = Home::signed_in(&server, 600);
    home.run("whoami").expect(0);
    assert_eq!(server.seen_of("GET /v1/me").last().unwrap().header("authorization"), Some("Bearer access-1"));
}

#[test]
fn a_session_that_has_ended_says_so_and_is_forgotten() {
    let server = Server::start(|_| Reply::problem(401, "invalid-credentials"));
    let home = Home::signed_in(&server, -5);
    let ran = home.run("whoami").expect(5);
    assert!(ran.err.contains("the session has ended") && ran.err.contains("sluice login"), "{}", ran.err);
    assert!(!home.read("credentials.toml").contains("refresh-0"));
}

#[test]
fn a_password_signs_in_and_the_tokens_are_for_the_owner_of_the_file_only() {
    let server = rotating();
    let home = Home::new();
    let line = format!("login --url {} --email alice@example.com --password-stdin", server.url);
    let ran = home.run_with(&line, &[], "right horse battery\n").expect(0);
    assert!(ran.err.contains("Signed in as alice@example.com"), "{}", ran.err);
    let mode = std::fs::metadata(home.file("credentials.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    home.run("whoami").expect(0);

    // Signing in anew ends the session before.
    home.run_with(&line, &[], "right horse battery\n").expect(0);
    assert_eq!(server.seen_of("POST /v1/auth/revoke").len(), 1);

    home.run("logout").expect(0);
    assert_eq!(server.seen_of("POST /v1/auth/revoke")[0].body["token"], "refresh-1");
    home.run("whoami").expect(5);
}

#[test]
fn a_wrong_password_is_refused_and_leaves_no_trace() {
    let server = rotating();
    let home = Home::new();
    let line = format!("login --url {} --email alice@example.com --password-stdin", server.url);
    let ran = home.run_with(&line, &[], "wrong\n").expect(5);
    assert!(!ran.err.contains("wrong\n"));
    assert!(!home.file("credentials.toml").exists() && !home.file("config.toml").exists());
}

#[test]
fn an_api_key_signs_in_from_standard_input_or_the_environment() {
    let server = rotating();
    let home = Home::new();
    home.run_with(&format!("login --url {} --api-key", server.url), &[], "slk_key\n").expect(0);
    home.run("whoami").expect(0);
    assert_eq!(server.seen().last().unwrap().header("authorization"), Some("Bearer slk_key"));
    home.run_with("whoami", &[("SLUICE_API_KEY", "slk_other")], "").expect(0);
    assert_eq!(server.seen().last().unwrap().header("authorization"), Some("Bearer slk_other"));
    // Forgotten here, not ended: others may use it.
    home.run("logout").expect(0);
    assert!(server.seen_of("POST /v1/auth/revoke").is_empty());
}

#[test]
fn credentials_are_not_sent_to_another_address() {
    let (server, stranger) = (rotating(), rotating());
    let home = Home::signed_in(&server, 600);
    home.run(&format!("whoami --url {}", stranger.url)).expect(5);
    assert!(stranger.seen().is_empty());
}
