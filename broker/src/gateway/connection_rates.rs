//! How fast one client address may open connections to this broker (KIP-612, where Kafka would do it if it saw clients).
//!
//! Owns the rates in force and when each address may open the next one. Memory: of twice as many addresses as were let in within
//! one second, [`CROWD`] at least. Must not know sockets; time is an argument.

use super::error::GatewayError;
use broker_api::spec;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So much of its rate an address may use at once.
const BURST: Duration = Duration::from_secs(1);
/// Debts from which on those that are over are looked for.
const CROWD: usize = 4096;

/// See [`spec::ConnectionRates`].
#[derive(Debug, Default)]
pub(super) struct ConnectionRates {
    default: Option<u32>,
    of_ip: HashMap<IpAddr, u32>,
}

impl ConnectionRates {
    pub(super) fn parse(rates: &spec::ConnectionRates) -> Result<Self, GatewayError> {
        if rates.default.iter().chain(rates.of_ip.values()).any(|rate| *rate == 0) {
            return Err(GatewayError::invalid(
                "connection_rates: 0 connections a second; at least 1 is accepted, and ip_rules keep an address out",
            ));
        }
        let of_ip = rates.of_ip.iter().map(|(ip, rate)| (ip.to_canonical(), *rate)).collect();
        Ok(Self { default: rates.default, of_ip })
    }

    /// Connections a second of this address; `None` is no limit.
    pub(super) fn of(&self, client: IpAddr) -> Option<u32> {
        self.of_ip.get(&client.to_canonical()).copied().or(self.default)
    }
}

/// When addresses opened connections.
#[derive(Debug)]
pub(super) struct Arrivals {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    debts: HashMap<IpAddr, Debt>,
    /// Debts from which on to look for those that are over.
    crowd: usize,
}

/// What an address has opened.
#[derive(Debug, Clone, Copy)]
struct Debt {
    /// Another rate begins anew.
    rate: u32,
    /// When it is made up for, at that rate.
    even_at: Instant,
}

impl Arrivals {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { debts: HashMap::new(), crowd: CROWD }) }
    }

    /// Counts a connection of this address, unless it comes too early.
    pub(super) fn admit(&self, client: IpAddr, rate: u32, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.debts.len() >= state.crowd {
            state.debts.retain(|_, debt| debt.even_at > now);
            // So that looking costs each arrival the same, however many are there.
            state.crowd = CROWD.max(2 * state.debts.len());
        }
        let client = client.to_canonical();
        let from = state.debts.get(&client).filter(|debt| debt.rate == rate).map_or(now, |debt| debt.even_at.max(now));
        let even_at = from + BURST / rate.max(1);
        let admitted = even_at.duration_since(now) <= BURST;
        if admitted {
            state.debts.insert(client, Debt { rate, even_at });
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn an_address_opens_a_seconds_worth_at_once_and_then_one_at_a_time() {
        let (arrivals, start) = (Arrivals::new(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!((0..9).filter(|_| arrivals.admit(client(1), 4, at(0))).count(), 4);
        assert!(!arrivals.admit(client(1), 4, at(249)) && arrivals.admit(client(1), 4, at(250)));
        assert!(!arrivals.admit(client(1), 4, at(251)), "refusals do not count, and do not help either");
        assert!(arrivals.admit(client(2), 4, at(251)), "another address has its own");
        let over_ten_seconds = (0..10_000).filter(|ms| arrivals.admit(client(1), 4, at(5_000 + ms))).count();
        assert!((40..=44).contains(&over_ten_seconds), "{over_ten_seconds}");
        assert!(!arrivals.admit(client(1), 4, at(14_999)) && arrivals.admit(client(1), 8, at(14_999)), "a new rate");
    }

    #[test]
    fn addresses_that_are_gone_take_no_memory() {
        let (arrivals, start) = (Arrivals::new(), Instant::now());
        for number in 0..100_000_u32 {
            let now = start + Duration::from_millis(u64::from(number));
            assert!(arrivals.admit(IpAddr::from(number.to_be_bytes()), 10, now));
        }
        assert!(arrivals.state.lock().unwrap().debts.len() <= CROWD);
    }

    #[test]
    fn an_address_that_is_named_has_its_own_rate_in_either_form() {
        let rates = spec::ConnectionRates { default: Some(5), of_ip: [(client(1), 1)].into() };
        let rates = ConnectionRates::parse(&rates).unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!([client(1), mapped, client(2)].map(|ip| rates.of(ip)), [Some(1), Some(1), Some(5)]);
        assert_eq!(ConnectionRates::default().of(client(1)), None);
        let none = spec::ConnectionRates { default: Some(0), of_ip: Default::default() };
        assert!(ConnectionRates::parse(&none).unwrap_err().to_string().contains("at least 1"));
    }
}
