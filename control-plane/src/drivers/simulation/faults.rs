//! Faults that a script asks for: the nth call of an operation fails, before or after its effect.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// What can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    ChooseAddresses,
    ReleasePublicAddress,
    EnsureNode,
    RenewNode,
    RemoveNode,
    ListNodes,
    NodeStatus,
    PushSpec,
    Handshake,
    KafkaReady,
    BindAcls,
    ReadAcls,
    PutAcls,
    ShieldPlatform,
    ReadQuotas,
    PutQuotas,
    ReadTopics,
    ChangeTopic,
    PutUser,
    DeleteUser,
    Canary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    BeforeEffect,
    /// The work is done, the answer is lost.
    AfterEffect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Transient,
    Permanent,
}

/// One failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub operation: Operation,
    /// Which call from now on, 1 is the next.
    pub call: u32,
    pub when: When,
    pub severity: Severity,
}

#[derive(Debug)]
struct Pending {
    fault: Fault,
    /// Number of the call that fails, counted from the world's beginning.
    at: u32,
}

/// The faults that are still to come.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    calls: HashMap<Operation, u32>,
    pending: Vec<Pending>,
}

impl Script {
    pub(super) fn add(&self, fault: Fault) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = state.calls.get(&fault.operation).copied().unwrap_or(0) + fault.call.max(1);
        state.pending.push(Pending { fault, at });
    }

    /// Counts a call, and takes the fault that is meant for it.
    pub(super) fn call(&self, operation: Operation) -> Option<Fault> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = state.calls.entry(operation).or_default();
        *calls += 1;
        let call = *calls;
        let found = state.pending.iter().position(|one| one.fault.operation == operation && one.at == call)?;
        Some(state.pending.swap_remove(found).fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_the_call_it_was_scripted_for_and_no_other() {
        let script = Script::default();
        let nth = |operation, call| Fault { operation, call, when: When::BeforeEffect, severity: Severity::Transient };
        assert_eq!(script.call(Operation::Canary), None);
        script.add(nth(Operation::Canary, 2));
        script.add(nth(Operation::PutUser, 1));
        assert_eq!(script.call(Operation::Canary), None);
        assert_eq!(script.call(Operation::Canary), Some(nth(Operation::Canary, 2)));
        assert_eq!(script.call(Operation::Canary), None);
        assert_eq!(script.call(Operation::PutUser), Some(nth(Operation::PutUser, 1)));
    }
}
