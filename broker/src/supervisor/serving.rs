//! Whether the broker serves: waits until it does, and then until it no longer does.
//!
//! Asks on PLN, like any client. Owns no process and changes nothing; safe to drop at any time.

use crate::probe;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How long one question may take of a broker that starts: a JVM in a long collection is not gone.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// Questions in a row without an answer. Counted, and not measured by the clock, so that a machine that
/// was paused, and not its broker, costs one of them.
const QUESTIONS: u32 = 12;

/// Returns once the broker answers. For ever, if need be: after a crash Kafka may read its logs for hours.
pub async fn until_serving(address: SocketAddr, every: Duration) {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if probe::answers(address, PROBE_LIMIT).await.is_ok() {
            return;
        }
    }
}

/// Returns once the broker has answered nothing for about `silence`, in [`QUESTIONS`] questions.
pub async fn until_silent(address: SocketAddr, silence: Duration) {
    let every = silence / QUESTIONS;
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    while unanswered < QUESTIONS {
        tick.tick().await;
        unanswered = if probe::answers(address, every).await.is_ok() { 0 } else { unanswered + 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers every 11th question.
    async fn seldom(listener: TcpListener, asked: Arc<AtomicU32>) {
        while let Ok((mut stream, _)) = listener.accept().await {
            if asked.fetch_add(1, Ordering::Relaxed) % 11 == 10 {
                let mut question = [0; 14];
                stream.read_exact(&mut question).await.unwrap();
                let mut answer = 10u32.to_be_bytes().to_vec();
                answer.extend_from_slice(&question[8..12]);
                answer.extend_from_slice(&[0; 6]);
                stream.write_all(&answer).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn one_answer_in_time_is_enough_and_a_dead_port_is_silence() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
        let server = tokio::spawn(seldom(listener, asked.clone()));
        let silent = tokio::spawn(until_silent(address, Duration::from_millis(120)));
        while asked.load(Ordering::Relaxed) < 50 {
            assert!(!silent.is_finished(), "it gave up on a slow broker");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.abort();
        tokio::time::timeout(Duration::from_secs(20), silent).await.expect("it noticed the silence").unwrap();
    }
}
