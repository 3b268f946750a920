//! States × actions of an instance (product.md §3), as one table.
//!
//! ```text
//! creating ─┬─► running ◄──────────────┬──────────────┬────────────┐
//!           │    │  │ ▲ └─► restarting ─┘   changing ─┤   starting ─┘
//!           │    │  ▼ │                       ▲       └─► change-failed
//!           │    │ faulty ── restart, delete  │ resize, upgrade
//!           │    └─► freezing ─► frozen ── unfreeze ─► starting
//!           └─► create-failed                 running, faulty, frozen ── delete ─► deleting ─► (gone)
//! ```

use control_plane_api::{
    instance::{InstanceAction, InstanceState},
    problem::Text,
};

/// Every action, in the order that answers list them.
pub const ACTIONS: [InstanceAction; 8] = [
    InstanceAction::Use,
    InstanceAction::Update,
    InstanceAction::Restart,
    InstanceAction::Resize,
    InstanceAction::Upgrade,
    InstanceAction::Freeze,
    InstanceAction::Unfreeze,
    InstanceAction::Delete,
];

/// The table. Restart: from running or faulty only. Delete: from running, faulty, frozen only. What changes nothing in
/// Kafka (`Update`: name, description, labels, protection) waits for nothing but the creation and the end.
pub fn allowed(state: InstanceState) -> &'static [InstanceAction] {
    use InstanceAction::*;
    use InstanceState as S;
    match state {
        S::Running => &[Use, Update, Restart, Resize, Upgrade, Freeze, Delete],
        S::Faulty => &[Use, Update, Restart, Delete],
        S::Frozen => &[Update, Unfreeze, Delete],
        // Rolling: clients go on while a broker at a time is away.
        S::Restarting | S::Changing | S::ChangeFailed => &[Use, Update],
        S::Starting | S::Freezing => &[Update],
        S::Creating | S::CreateFailed | S::Deleting => &[],
    }
}

/// Why a state does not allow an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot {} while it is {}: {}", action_name(*action), state_name(*state), reason.en)]
pub struct Refusal {
    pub state: InstanceState,
    pub action: InstanceAction,
    pub reason: Text,
    /// What the state allows instead.
    pub allowed: &'static [InstanceAction],
}

/// `Err` when `state` does not allow `action`.
pub fn check(state: InstanceState, action: InstanceAction) -> Result<(), Refusal> {
    let allowed = allowed(state);
    if allowed.contains(&action) {
        Ok(())
    } else {
        Err(Refusal { state, action, reason: reason(state, action), allowed })
    }
}

impl Refusal {
    /// The refusal in the product's other language.
    pub fn chinese(&self) -> String {
        format!("实例处于 {} 状态，不能执行 {}：{}", state_name(self.state), action_name(self.action), self.reason.zh)
    }
}

fn reason(state: InstanceState, action: InstanceAction) -> Text {
    use InstanceState as S;
    let (en, zh) = match (state, action) {
        (S::CreateFailed, _) => (
            "nothing of it was kept; its record is removed under failed-creations, and it can be ordered again",
            "创建失败，未保留任何资源；可在 failed-creations 中移除该记录并重新下单",
        ),
        (S::Deleting, _) => ("it is being deleted", "实例正在删除"),
        (S::Creating, _) => {
            ("it is being created; wait for its job, or cancel the job", "实例正在创建；请等待任务结束或取消任务")
        }
        (S::Frozen, InstanceAction::Use) => ("clients are refused until it is unfrozen", "解冻之前拒绝客户端访问"),
        (S::Frozen, _) => ("unfreeze it first", "请先解冻"),
        (S::Starting | S::Restarting | S::Freezing | S::Changing, _) => {
            ("a job is at work on it; wait for the job's end", "有任务正在执行；请等待任务结束")
        }
        (S::ChangeFailed, _) => {
            ("its last change failed; finish that job first, by retry or cancel", "上次变更失败；请先重试或取消该任务")
        }
        (S::Faulty, _) => ("it is faulty; restart it first", "实例故障；请先重启"),
        (S::Running, InstanceAction::Unfreeze) => ("it is not frozen", "实例未被冻结"),
        (S::Running, _) => ("its state does not allow it", "当前状态不允许"),
    };
    Text { en, zh }
}

/// The state as users read it, `create-failed`.
pub fn state_name(state: InstanceState) -> &'static str {
    use InstanceState as S;
    match state {
        S::Creating => "creating",
        S::Running => "running",
        S::Faulty => "faulty",
        S::Starting => "starting",
        S::Restarting => "restarting",
        S::Freezing => "freezing",
        S::Frozen => "frozen",
        S::CreateFailed => "create-failed",
        S::Changing => "changing",
        S::ChangeFailed => "change-failed",
        S::Deleting => "deleting",
    }
}

/// Every state.
pub const STATES: [InstanceState; 11] = [
    InstanceState::Creating,
    InstanceState::Running,
    InstanceState::Faulty,
    InstanceState::Starting,
    InstanceState::Restarting,
    InstanceState::Freezing,
    InstanceState::Frozen,
    InstanceState::CreateFailed,
    InstanceState::Changing,
    InstanceState::ChangeFailed,
    InstanceState::Deleting,
];

pub fn parse_state(name: &str) -> Option<InstanceState> {
    STATES.into_iter().find(|state| state_name(*state) == name)
}

pub fn action_name(action: InstanceAction) -> &'static str {
    match action {
        InstanceAction::Update => "update",
        InstanceAction::Restart => "restart",
        InstanceAction::Resize => "resize",
        InstanceAction::Upgrade => "upgrade",
        InstanceAction::Freeze => "freeze",
        InstanceAction::Unfreeze => "unfreeze",
        InstanceAction::Delete => "delete",
        InstanceAction::Use => "use",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InstanceState as S;

    fn states_that_allow(action: InstanceAction) -> Vec<&'static str> {
        STATES.into_iter().filter(|state| check(*state, action).is_ok()).map(state_name).collect()
    }

    #[test]
    fn restart_is_allowed_from_running_and_faulty_only() {
        assert_eq!(states_that_allow(InstanceAction::Restart), ["running", "faulty"]);
    }

    #[test]
    fn delete_is_allowed_from_running_faulty_and_frozen_only() {
        assert_eq!(states_that_allow(InstanceAction::Delete), ["running", "faulty", "frozen"]);
    }

    #[test]
    fn a_refusal_says_why_and_what_would_be_allowed() {
        let refusal = check(S::Frozen, InstanceAction::Restart).expect_err("frozen does not restart");
        assert_eq!(refusal.to_string(), "cannot restart while it is frozen: unfreeze it first");
        assert_eq!(refusal.allowed, [InstanceAction::Update, InstanceAction::Unfreeze, InstanceAction::Delete]);
    }

    #[test]
    fn names_are_those_of_the_api() {
        for state in STATES {
            assert_eq!(serde_json::to_value(state).expect("serialises"), state_name(state));
            assert_eq!(parse_state(state_name(state)), Some(state));
        }
        for action in ACTIONS {
            assert_eq!(serde_json::to_value(action).expect("serialises"), action_name(action));
        }
    }
}
