//! The supervisor as a driver meets it, with a stand-in for Kafka.

use crate::harness::{Node, SOON, kill, lives, read, until};
use crate::stand_in::{DEAF, FAIL};
use broker_api::refusal::{Refusal, RefusalCode};
use broker_api::spec::NodeSpec;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

#[test]
fn a_new_node_is_formatted_started_and_tells_who_it_is() {
    let mut node = Node::new();
    node.start();
    let pid = node.wait_until_running();
    let status = node.status();
    assert_eq!((status.restarts, status.failures, status.last_exit.as_str()), (0, 0, ""));
    assert_eq!(status.identity.instance, node.instance.id);
    assert_eq!(status.identity.nonce, node.nonce);
    assert_eq!(status.identity.pid, node.supervisor_pid());
    assert!(lives(pid));
    assert!(node.path("data/meta.properties").is_file());
}

#[test]
fn the_socket_and_every_file_with_a_key_are_for_the_owner_alone() {
    let mut node = Node::new();
    node.start();
    node.wait_until_running();
    for name in ["supervisor.sock", "kafka/internal.pem", "kafka/server.properties", "kafka/token-key.der"] {
        let mode = fs::metadata(node.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

#[test]
fn a_directory_has_one_supervisor() {
    let mut node = Node::new();
    node.start();
    let pid = node.wait_until_running();
    let (success, text) = node.start_another();
    assert!(!success && text.contains("another supervisor runs in"), "{text}");
    assert_eq!(node.wait_until_running(), pid);
}

#[test]
fn a_broker_that_dies_is_started_again() {
    let mut node = Node::new();
    node.start();
    let first = node.wait_until_running();
    kill(first);
    node.wait_until_another_runs(first);
    let status = node.status();
    assert_eq!((status.restarts, status.failures), (1, 0));
    assert!(status.last_exit.starts_with("was killed by signal 9"), "{}", status.last_exit);
}

#[test]
fn a_broker_that_lives_but_no_longer_answers_is_started_again() {
    let mut node = Node::new();
    node.arguments = vec!["--silence-seconds", "2"];
    node.start();
    let first = node.wait_until_running();
    let pid = rustix::process::Pid::from_raw(first.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    node.wait_until_another_runs(first);
    let status = node.status();
    assert!(status.last_exit.starts_with("answered nothing for 2 s"), "{}", status.last_exit);
    assert!(!lives(first));
}

#[test]
fn a_broker_that_stopped_answering_while_no_supervisor_looked_is_started_again_too() {
    let mut node = Node::new();
    node.arguments = vec!["--silence-seconds", "2"];
    node.start();
    let first = node.wait_until_running();
    node.kill_supervisor();
    let pid = rustix::process::Pid::from_raw(first.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    node.start();
    node.wait_until_another_runs(first);
    assert!(!lives(first));
}

#[test]
fn a_killed_supervisor_leaves_the_broker_and_the_next_one_adopts_it() {
    let mut node = Node::new();
    node.start();
    let first = node.wait_until_running();
    node.kill_supervisor();
    assert!(lives(first), "the broker went with its supervisor");
    node.start();
    assert_eq!(node.wait_until_running(), first);
    assert_eq!(node.status().restarts, 0);
    // It is no child of the new one, which notices its end all the same.
    kill(first);
    let second = node.wait_until_another_runs(first);
    assert!(lives(second));
}

#[test]
fn a_supervisor_killed_before_it_knew_the_pid_still_finds_the_broker() {
    let mut node = Node::new();
    node.start();
    let first = node.wait_until_running();
    node.kill_supervisor();
    let record = until("the record of the broker", SOON, || {
        let entries = fs::read_dir(node.path("run")).unwrap().flatten();
        entries.map(|entry| entry.path()).find(|path| read(path).contains("\"broker\""))
    });
    let mut known: serde_json::Value = serde_json::from_str(&read(&record)).unwrap();
    known["started"] = serde_json::Value::Null;
    fs::write(&record, known.to_string()).unwrap();
    node.start();
    assert_eq!(node.wait_until_running(), first);
}

#[test]
fn a_record_of_another_process_is_not_believed() {
    let mut node = Node::new();
    fs::create_dir_all(node.path("run")).unwrap();
    let boot_id = read("/proc/sys/kernel/random/boot_id".as_ref()).trim().to_owned();
    // This very test: alive, but it carries no nonce.
    let record = serde_json::json!({
        "role": "broker", "nonce": "0123", "boot_id": boot_id,
        "started": { "pid": std::process::id(), "start_ticks": 1 },
    });
    fs::write(node.path("run/broker-0123.json"), record.to_string()).unwrap();
    fs::write(node.path("run/broker-4567.json"), "{ half of a rec").unwrap();
    node.start();
    assert_ne!(node.wait_until_running(), std::process::id());
    assert!(!node.path("run/broker-0123.json").exists());
}

#[test]
fn a_broker_that_keeps_failing_is_tried_again_ever_later_and_tells_its_cause() {
    let mut node = Node::new();
    fs::write(node.path(FAIL), "java.io.IOException: No space left on device").unwrap();
    let began = Instant::now();
    node.start();
    until("three failures", SOON, || Some(()).filter(|()| node.status().failures >= 3));
    // One second after the first, two after the second.
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    let status = node.status();
    assert!(status.last_exit.starts_with("exited with status 3"), "{}", status.last_exit);
    assert!(status.last_exit.ends_with("No space left on device"), "{}", status.last_exit);
    fs::remove_file(node.path(FAIL)).unwrap();
    node.wait_until_running();
    assert_eq!(node.status().failures, 0);
}

#[test]
fn storage_of_another_node_is_refused_and_nothing_is_started_on_it() {
    let mut node = Node::new();
    fs::create_dir(node.path("data")).unwrap();
    let foreign = "version=1\nnode.id=7\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAA\n";
    fs::write(node.path("data/meta.properties"), foreign).unwrap();
    node.start();
    let status = until("a failure", SOON, || Some(node.status()).filter(|status| status.failures > 0));
    assert!(status.last_exit.contains("belongs to another node"), "{}", status.last_exit);
    assert_eq!(status.pid, None);
    assert_eq!(read(&node.path("data/meta.properties")), foreign);
}

#[test]
fn a_stop_ends_the_broker_then_the_supervisor() {
    let mut node = Node::new();
    node.start_with_gateway();
    let (broker, gateway) = (node.wait_until_running(), node.gateway_pid());
    let (status, body) = node.ask_supervisor("POST", "/stop", b"").unwrap();
    assert_eq!(status, 200);
    assert!(body.contains("\"stopped\""), "{body}");
    assert!(!lives(broker) && !lives(gateway));
    assert!(node.wait_for_supervisor());
    assert_eq!(fs::read_dir(node.path("run")).unwrap().count(), 0, "something is still on record");
}

#[test]
fn a_broker_that_does_not_end_is_killed_at_the_deadline() {
    let mut node = Node::new();
    fs::write(node.path(DEAF), "").unwrap();
    node.start();
    let broker = node.wait_until_running();
    let (_, body) = node.ask_supervisor("POST", "/stop?deadline_ms=300", b"").unwrap();
    assert!(body.contains("was killed by signal 9"), "{body}");
    assert!(!lives(broker));
}

#[test]
fn a_supervisor_that_is_asked_to_end_stops_what_it_runs() {
    let mut node = Node::new();
    node.start();
    let broker = node.wait_until_running();
    let pid = rustix::process::Pid::from_raw(node.supervisor_pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(node.wait_for_supervisor());
    assert!(!lives(broker));
}

#[test]
fn a_spec_with_another_heap_starts_the_broker_anew_and_an_older_one_is_refused() {
    let mut node = Node::new();
    node.start();
    let first = node.wait_until_running();
    let mut newer = NodeSpec { generation: 2, ..node.spec.clone() };
    newer.kafka.jvm.heap_bytes *= 2;
    let (status, _) = node.ask_supervisor("PUT", "/spec", &serde_json::to_vec(&newer).unwrap()).unwrap();
    assert_eq!(status, 200);
    node.wait_until_another_runs(first);
    let old = serde_json::to_vec(&node.spec).unwrap();
    let (status, body) = node.ask_supervisor("PUT", "/spec", &old).unwrap();
    let refusal: Refusal = serde_json::from_str(&body).unwrap();
    assert_eq!((status, refusal.code, refusal.generation), (409, RefusalCode::StaleGeneration, Some(2)));
}

#[test]
fn a_supervisor_that_adopts_brings_the_broker_to_the_newest_spec() {
    let mut node = Node::new();
    node.start();
    let first = node.wait_until_running();
    until("the record of the spec in force", SOON, || node.path("kafka/in-force.json").exists().then_some(()));
    node.kill_supervisor();
    let mut newer = NodeSpec { generation: 2, ..node.spec.clone() };
    newer.kafka.jvm.heap_bytes *= 2;
    node.write_boot_spec(&newer);
    node.start();
    node.wait_until_another_runs(first);
}

#[test]
fn a_gateway_that_dies_is_back_and_the_broker_does_not_notice() {
    let mut node = Node::new();
    node.start_with_gateway();
    let broker = node.wait_until_running();
    let first = node.gateway_pid();
    until("the first gateway to serve", SOON, || Some(()).filter(|()| node.ask("GET", "/healthz", b"").0 == 200));
    kill(first);
    until("another gateway", SOON, || node.status().identity.gateway_pid.filter(|pid| *pid != first));
    assert_eq!(node.ask("GET", "/healthz", b"").0, 200);
    assert_eq!(node.wait_until_running(), broker);
}

#[test]
fn a_gateway_that_lives_but_does_nothing_is_started_again() {
    let mut node = Node::new();
    node.arguments = vec!["--silence-seconds", "12"];
    node.start_with_gateway();
    let (broker, first) = (node.wait_until_running(), node.gateway_pid());
    until("the first gateway to serve", SOON, || Some(()).filter(|()| node.ask("GET", "/healthz", b"").0 == 200));
    // It has shown that it lives when its mark was touched twice.
    let mark = || {
        fs::read_dir(node.path("run"))
            .unwrap()
            .flatten()
            .find(|file| file.path().extension().is_some_and(|end| end == "ready"))
    };
    let touched = || mark().and_then(|mark| mark.metadata().ok()?.modified().ok());
    let once = until("its mark", SOON, touched);
    let twice = until("a second touch", SOON, || touched().filter(|now| *now != once));
    until("a third", SOON, || touched().filter(|now| *now != twice));
    let pid = rustix::process::Pid::from_raw(first.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    until("another gateway", SOON, || node.status().identity.gateway_pid.filter(|pid| *pid != first));
    assert_eq!(node.ask("GET", "/healthz", b"").0, 200);
    assert!(!lives(first));
    assert_eq!(node.wait_until_running(), broker);
}

#[test]
fn a_gateway_is_replaced_without_a_moment_without_one() {
    let mut node = Node::new();
    node.start_with_gateway();
    let broker = node.wait_until_running();
    let first = node.gateway_pid();
    until("the first gateway to serve", SOON, || Some(()).filter(|()| node.ask("GET", "/healthz", b"").0 == 200));
    let caller = node.control_plane();
    let (status, _) = node.ask_supervisor("POST", "/gateway/replace", b"").unwrap();
    assert_eq!(status, 200);
    // No patience here: it must be answered now.
    let answer = crate::harness::ask_control(
        node.spec.gateway.control,
        Some(&caller),
        node.instance.control_ca.pem(),
        "GET",
        "/healthz",
        b"",
    );
    assert_eq!(answer.unwrap().0, 200);
    let second = node.gateway_pid();
    assert_ne!(second, first);
    until("the old gateway's end", SOON, || Some(()).filter(|()| !lives(first)));
    assert_eq!(node.wait_until_running(), broker);
}

#[test]
fn a_replacement_that_cannot_serve_leaves_the_old_gateway() {
    let mut node = Node::new();
    node.start_with_gateway();
    node.wait_until_running();
    let first = node.gateway_pid();
    until("the first gateway to serve", SOON, || Some(()).filter(|()| node.ask("GET", "/healthz", b"").0 == 200));
    fs::write(node.path("spec.json"), "garbage").unwrap();
    let (status, body) = node.ask_supervisor("POST", "/gateway/replace", b"").unwrap();
    assert_eq!(status, 503);
    assert!(body.contains("before it was ready; the old one stays"), "{body}");
    assert_eq!(node.gateway_pid(), first);
    assert_eq!(node.ask("GET", "/healthz", b"").0, 200);
}

#[test]
fn a_killed_supervisor_leaves_the_gateway_and_the_next_one_adopts_it() {
    let mut node = Node::new();
    node.start_with_gateway();
    let (broker, gateway) = (node.wait_until_running(), node.gateway_pid());
    assert_eq!(node.ask("GET", "/readyz", b"").0, 200);
    node.kill_supervisor();
    assert_eq!(node.ask("GET", "/readyz", b"").0, 200, "clients are served without a supervisor");
    node.start_with_gateway();
    assert_eq!((node.wait_until_running(), node.gateway_pid()), (broker, gateway));
}

#[test]
fn a_supervisor_without_a_usable_spec_says_so_and_ends() {
    let node = Node::new();
    fs::write(node.path("spec.json"), "{").unwrap();
    let (success, text) = node.start_another();
    assert!(!success && text.contains("spec.json: not a node spec"), "{text}");
}
