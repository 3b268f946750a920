//! Connections that share a bucket, in a time that the test moves: no machine is too slow for it.

use super::*;
use prometheus_client::registry::Registry;
use std::future::poll_fn;
use std::task::Poll;
use tokio::task::JoinSet;

const MB: u64 = 1_000_000;
/// What a broker of the smallest spec is sold (product.md §1): 100 MB/s over three.
const SMALLEST: u64 = 100 * MB / 3;
const MEASURED: Duration = Duration::from_secs(30);

fn bandwidth(limit: Option<u64>) -> Arc<Bandwidth> {
    let limits = GatewayLimits { ingress_bytes_per_second: limit, ..GatewayLimits::default() };
    Arc::new(Bandwidth::new(&limits, &Metrics::register(&mut Registry::default())))
}

/// What a connection saw.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    passed: u64,
    longest_pause: Duration,
}

/// Frames of one size for as long as measured: without a pause of its own, or with one between frames.
async fn connection(bandwidth: Arc<Bandwidth>, frame: u64, rests: Option<Duration>) -> Seen {
    let mut meter = Meter::new(bandwidth.ingress.clone());
    let (mut seen, until) = (Seen::default(), Instant::now() + MEASURED);
    while Instant::now() < until {
        let mut left = frame;
        while left > 0 && Instant::now() < until {
            let asked = Instant::now();
            let credit = poll_fn(|cx| match meter.poll_credit(cx) {
                0 => Poll::Pending,
                credit => Poll::Ready(credit as u64),
            });
            let passes = credit.await.min(left);
            seen.longest_pause = seen.longest_pause.max(asked.elapsed());
            meter.spend(passes as usize);
            left -= passes;
            seen.passed += passes;
        }
        match rests {
            Some(rests) => tokio::time::sleep(rests).await,
            // So that the others of this thread get their turn.
            None => tokio::task::yield_now().await,
        }
    }
    seen
}

async fn together(connections: impl IntoIterator<Item = impl Future<Output = Seen> + Send + 'static>) -> Vec<Seen> {
    connections.into_iter().collect::<JoinSet<_>>().join_all().await
}

fn sum(seen: &[Seen]) -> u64 {
    seen.iter().map(|one| one.passed).sum()
}

/// Jain's index: 1 when all have the same, 1/n when one has all.
fn fairness(seen: &[Seen]) -> f64 {
    let squares: f64 = seen.iter().map(|one| (one.passed as f64).powi(2)).sum();
    (sum(seen) as f64).powi(2) / (seen.len() as f64 * squares)
}

fn assert_within_3_percent(passed: u64, rate: u64) {
    let due = rate as f64 * MEASURED.as_secs_f64();
    let off = (passed as f64 - due) / due;
    assert!(off.abs() < 0.03, "{passed} bytes passed, {:.1} % off what {rate} a second give", off * 100.0);
}

#[tokio::test(start_paused = true)]
async fn busy_connections_get_the_limit_together_and_the_same_each() {
    for (rate, connections) in [(SMALLEST, 1), (SMALLEST, 10), (SMALLEST, 50), (SMALLEST, 3000), (MB / 3, 50)] {
        let shared = bandwidth(Some(rate));
        let seen = together((0..connections).map(|_| connection(shared.clone(), MB, None))).await;
        assert_within_3_percent(sum(&seen), rate);
        assert!(fairness(&seen) > 0.95, "{connections} connections: {}", fairness(&seen));
        let longest = seen.iter().map(|one| one.longest_pause).max().unwrap();
        assert!(longest <= Duration::from_secs(1), "{connections} connections: a pause of {longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn small_frames_get_as_much_as_large_ones() {
    let shared = bandwidth(Some(SMALLEST));
    let seen = together((0..20).map(|n| connection(shared.clone(), if n % 2 == 0 { 700 } else { 5 * MB }, None))).await;
    assert_within_3_percent(sum(&seen), SMALLEST);
    assert!(fairness(&seen) > 0.95, "{}", fairness(&seen));
}

#[tokio::test(start_paused = true)]
async fn who_wants_less_than_its_share_gets_it_and_the_others_get_the_rest() {
    let shared = bandwidth(Some(10 * MB));
    let modest = connection(shared.clone(), 1000, Some(Duration::from_millis(100)));
    let (modest, busy) = tokio::join!(modest, together((0..9).map(|_| connection(shared.clone(), MB, None))));
    let wanted = 10 * 1000 * MEASURED.as_secs();
    assert!(modest.passed > wanted * 95 / 100, "{} of {wanted}", modest.passed);
    assert_within_3_percent(sum(&busy) + modest.passed, 10 * MB);
}

#[tokio::test(start_paused = true)]
async fn another_limit_holds_for_connections_that_are_in_the_middle_of_it() {
    let shared = bandwidth(Some(SMALLEST));
    let change = async {
        tokio::time::sleep(MEASURED / 2).await;
        let limits = GatewayLimits { ingress_bytes_per_second: Some(SMALLEST / 5), ..GatewayLimits::default() };
        shared.follow(&limits);
    };
    let busy = together((0..10).map(|_| connection(shared.clone(), MB, None)));
    let (seen, ()) = tokio::join!(busy, change);
    assert_within_3_percent(sum(&seen), SMALLEST * 3 / 5);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_used_is_caught_up_for_a_tenth_of_a_second_only() {
    let shared = bandwidth(Some(SMALLEST));
    tokio::time::sleep(MEASURED).await;
    let mut now = 0;
    loop {
        let grant = shared.ingress.grant(Instant::now());
        if grant.from.is_some() {
            break;
        }
        now += grant.bytes;
    }
    assert!(now <= SMALLEST / 10 + MOST_GRANT, "{now} bytes at once");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_gives_back_what_it_did_not_use() {
    let shared = bandwidth(Some(MB));
    tokio::time::sleep(BURST).await;
    for _ in 0..1000 {
        // A thousand clients that connect, ask for a few bytes and go.
        let mut meter = Meter::new(shared.ingress.clone());
        let credit = poll_fn(|cx| Poll::Ready(meter.poll_credit(cx))).await;
        assert!(credit >= 80, "they pay for what they use");
        meter.spend(80);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_without_a_limit_and_what_passes_is_told() {
    let shared = bandwidth(None);
    let began = Instant::now();
    let mut meter = Meter::new(shared.ingress.clone());
    shared.sample();
    for _ in 0..10_000 {
        let credit = poll_fn(|cx| Poll::Ready(meter.poll_credit(cx))).await;
        assert!(credit > 0);
        meter.spend(credit);
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(10)).await;
    shared.sample();
    let status = shared.status().ingress;
    assert_eq!((status.limit_bytes_per_second, status.bytes_per_second), (None, MOST_GRANT * 1000));
}

#[test]
fn all_connections_that_are_sold_fit_into_the_longest_pause() {
    // MB/s, brokers, connections of product.md §1; all connections on one broker.
    for (spec, brokers, connections) in [(100, 3, 3_000), (300, 3, 10_000), (600, 4, 20_000), (1200, 8, 20_000)] {
        let rate = spec * MB / brokers;
        assert!(connections * LEAST_GRANT <= rate / 2, "{spec} MB/s");
    }
}
