//! Profiles, and which setting wins.

use crate::support::*;

#[test]
fn a_flag_beats_the_environment_and_the_environment_beats_the_profile() {
    let [flag, environment, profile] = [(); 3].map(|()| Server::start(standard));
    let home = Home::new();
    home.write("config.toml", &format!("[profiles.default]\nurl = \"{}\"\n", profile.url));
    let key = ("SLUICE_API_KEY", "slk_x");
    home.run_with("whoami", &[key], "").expect(0);
    home.run_with("whoami", &[key, ("SLUICE_URL", &environment.url)], "").expect(0);
    home.run_with(&format!("whoami --url {}", flag.url), &[key, ("SLUICE_URL", &environment.url)], "").expect(0);
    assert_eq!([flag.seen().len(), environment.seen().len(), profile.seen().len()], [1, 1, 1]);
}

#[test]
fn profiles_are_made_used_changed_and_forgotten() {
    let home = Home::new();
    home.run("profile create work --url https://sluice.example --project orders --output json").expect(0);
    home.run("profile create lab --url http://127.0.0.1:9 --lang zh").expect(0);
    home.run("profile create lab --url http://127.0.0.1:9").expect(2);
    // The first one made is in use, and its output is JSON.
    let listed = home.run("profile list").expect(0).json();
    assert_eq!(listed[1]["name"], "work");
    assert_eq!((&listed[1]["in_use"], &listed[0]["lang"]), (&true.into(), &"zh".into()));
    home.run("profile use lab").expect(0);
    home.run("profile edit --unset lang --project red").expect(0);
    let listed = home.run("profile list").expect(0).out;
    assert_eq!(
        listed,
        "   PROFILE  ADDRESS                 PROJECT  OUTPUT\n\
         *  lab      http://127.0.0.1:9      red      -\n   work     https://sluice.example  orders   json\n"
    );
    home.run("profile delete lab").expect(0);
    home.run("profile use lab").expect(3);
    assert_eq!(home.run("profile list -o name").expect(0).out, "work\n");
}

#[test]
fn an_unknown_profile_is_refused_with_near_ones() {
    let home = Home::new();
    home.run("profile create work --url https://sluice.example").expect(0);
    let ran = home.run("whoami --profile wrok").expect(3);
    assert!(ran.err.contains("did you mean work?"), "{}", ran.err);
}

#[test]
fn a_configuration_that_cannot_be_read_names_its_file() {
    let home = Home::new();
    home.write("config.toml", "[profiles.default]\nurll = \"x\"\n");
    let ran = home.run("whoami").expect(1);
    assert!(ran.err.contains("config.toml") && ran.err.contains("urll"), "{}", ran.err);
}

#[test]
fn an_address_that_is_none_is_refused() {
    for url in ["ftp://x", "sluice.example", "http://user:secret@x"] {
        let ran = Home::new().run(&format!("whoami --url {url}")).expect(2);
        assert!(ran.err.contains("is not the address of an API"), "{}", ran.err);
    }
}

#[test]
fn https_trusts_a_private_authority_when_told_to_and_no_other_name() {
    let key = ("SLUICE_API_KEY", "slk_x");
    let (server, pem) = Server::start_tls("127.0.0.1", standard);
    let home = Home::new();
    home.write("ca.pem", &pem);
    home.run_with(&format!("whoami --ca-file ca.pem --url {}", server.url), &[key], "").expect(0);
    let (elsewhere, pem) = Server::start_tls("sluice.example", standard);
    home.write("other.pem", &pem);
    for (url, authority) in [(&server.url, "other.pem"), (&elsewhere.url, "other.pem")] {
        let ran = home.run_with(&format!("whoami --ca-file {authority} --url {url}"), &[key], "").expect(10);
        assert!(ran.err.contains("certificate"), "{}", ran.err);
    }
    assert!(elsewhere.seen().is_empty());
    home.write("empty.pem", "");
    home.run_with(&format!("whoami --ca-file empty.pem --url {}", server.url), &[key], "").expect(1);
}

#[test]
fn the_language_is_asked_for_in_every_request() {
    let server = Server::start(standard);
    let home = Home::signed_in(&server, 600);
    home.run("whoami --lang zh").expect(0);
    assert_eq!(server.seen()[0].header("accept-language"), Some("zh-CN"));
    let ran = home.run("errors get no-such-code --lang zh").expect(3);
    assert!(ran.err.contains("hint: 请检查标识和项目"), "{}", ran.err);
}

#[test]
fn the_project_is_named_when_there_are_several() {
    let server = Server::start(|request| match request.line().as_str() {
        "GET /v1/projects" => Reply::page(&[project("red"), project("blue")]),
        line if line == format!("GET {}", of_project("instances")) => Reply::page(&[]),
        _ => standard(request),
    });
    let home = Home::signed_in(&server, 600);
    let ran = home.run("instance list").expect(2);
    assert!(ran.err.contains("one of red, blue"), "{}", ran.err);
    home.run(&format!("instance list --project {PROJECT}")).expect(0);
    home.run("instance list --project blue").expect(0);
    let ran = home.run("instance list --project blu").expect(3);
    assert!(ran.err.contains("did you mean blue?"), "{}", ran.err);
}
