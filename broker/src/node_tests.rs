use super::*;
use crate::support::{KAFKA_NEW, TestInstance};
use broker_api::status::ProcessIdentity;

fn broker(state: BrokerState, failures: u32) -> BrokerStatus {
    BrokerStatus {
        state,
        pid: Some(7),
        restarts: failures,
        failures,
        last_exit: "exited with status 1 after 2 s: no space".to_owned(),
        kafka_version: KAFKA_NEW.to_owned(),
        identity: ProcessIdentity {
            instance: "ins_fixed".to_owned(),
            node_id: 1,
            nonce: String::new(),
            pid: 6,
            boot_id: String::new(),
            start_ticks: 1,
            gateway_pid: None,
            build: String::new(),
        },
    }
}

/// State and reason when the broker is in `state`, answers or not, and its supervisor is there or not.
fn judged(state: BrokerState, failures: u32, silent: bool, away: bool, listening: &[&str]) -> (NodeState, String) {
    let spec = TestInstance::fixed(KAFKA_NEW, 1).spec(1);
    let gateway = GatewayStatus {
        listening: listening.iter().map(|path| (*path).to_owned()).collect(),
        ..GatewayStatus::default()
    };
    let status = status(Observed {
        spec: &spec,
        gateway,
        capacity: None,
        broker: broker(state, failures),
        supervisor_away: away.then(|| "the supervisor does not answer".to_owned()),
        broker_silent: silent.then(|| "connection refused".to_owned()),
    });
    (status.state, status.reason)
}

const BOTH: [&str; 2] = ["private-plaintext", "private-sasl-ssl"];

#[test]
fn a_node_is_ready_when_its_broker_answers_and_every_path_listens() {
    assert_eq!(judged(BrokerState::Running, 0, false, false, &BOTH), (NodeState::Ready, String::new()));
    let (state, reason) = judged(BrokerState::Running, 0, false, false, &BOTH[..1]);
    assert_eq!(state, NodeState::Starting);
    assert!(reason.ends_with("private-sasl-ssl"), "{reason}");
}

#[test]
fn a_broker_that_serves_without_its_supervisor_is_ready() {
    assert_eq!(judged(BrokerState::Starting, 0, false, true, &BOTH).0, NodeState::Ready);
}

#[test]
fn a_broker_that_keeps_failing_is_failed_with_its_cause() {
    assert_eq!(judged(BrokerState::BackingOff, 2, true, false, &BOTH).0, NodeState::Starting);
    let (state, reason) = judged(BrokerState::BackingOff, 3, true, false, &BOTH);
    assert_eq!(state, NodeState::Failed);
    assert!(reason.contains("3 times") && reason.contains("no space"), "{reason}");
}

#[test]
fn a_broker_that_is_being_stopped_is_not_ready_though_it_answers() {
    assert_eq!(judged(BrokerState::Stopping, 0, false, false, &BOTH).0, NodeState::Stopping);
    assert_eq!(judged(BrokerState::Stopped, 0, true, false, &BOTH).0, NodeState::Stopped);
}
