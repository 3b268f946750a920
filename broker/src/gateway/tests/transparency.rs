//! What the gateway does not have to change it does not change: every API and version that is relayed
//! passes byte for byte, whatever its body is, in both directions.

use super::super::table::{RequestRule, ResponseRule, TABLE};
use super::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const NEWEST: i16 = 20;

#[tokio::test]
async fn every_relayed_api_and_version_passes_byte_for_byte() {
    let mut random = StdRng::seed_from_u64(9);
    let mut rig = Rig::new();
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    // Bodies are cut from it: making so much noise anew for each would take most of the test's time.
    let mut noise = vec![0; 400_000];
    random.fill(noise.as_mut_slice());
    let mut cases = 0;
    use RequestRule::{Admit, Fetch, Group, Relay};
    for api in TABLE.iter().filter(|api| matches!(api.request, Relay | Fetch | Admit(None, _) | Group(..))) {
        for version in 0..=NEWEST {
            if super::super::table::find(api.key, version).is_none()
                || !matches!(api.response_rule(version), ResponseRule::Relay)
            {
                continue;
            }
            for _ in 0..10 {
                let size = if random.random_ratio(1, 50) {
                    random.random_range(0..noise.len())
                } else {
                    random.random_range(0..2_000)
                };
                let start = random.random_range(0..=noise.len() - size);
                let body = &noise[start..start + size];
                let correlation = random.random();
                let asked = opaque_request(api.key, version, correlation, body);
                client.send(&asked).await;
                assert_eq!(kafka.frame().await, asked, "{} {version}", api.name);
                let answer = opaque_response(correlation, body);
                kafka.send(&answer).await;
                assert_eq!(client.frame().await, answer, "{} {version}", api.name);
                cases += 1;
            }
        }
    }
    assert!(cases > 7_000, "{cases} cases");
}

#[tokio::test]
async fn pipelined_traffic_of_many_sizes_arrives_whole_and_in_order() {
    let mut random = StdRng::seed_from_u64(10);
    let mut rig = Rig::new();
    let (client, _served) = rig.plaintext();
    let kafka = rig.kafka().await;
    let bodies: Vec<Vec<u8>> = (0..400).map(|n| vec![n as u8; random.random_range(0..60_000)]).collect();
    let requests: Vec<u8> =
        bodies.iter().enumerate().flat_map(|(n, body)| opaque_request(12, 4, n as i32, body)).collect();
    let responses: Vec<u8> = bodies.iter().enumerate().flat_map(|(n, body)| opaque_response(n as i32, body)).collect();
    let (mut from_gateway, mut to_gateway) = tokio::io::split(client.0);
    let (mut asked, mut answering) = tokio::io::split(kafka.0);
    let wanted = requests.clone();
    let writing = tokio::spawn(async move { to_gateway.write_all(&requests).await.map(|()| to_gateway) });
    let answers = responses.clone();
    let serving = tokio::spawn(async move {
        // Answers only what was asked, frame by frame.
        let mut seen = Vec::new();
        let mut at = 0;
        for body in &bodies {
            let mut frame = vec![0; 12 + body.len()];
            asked.read_exact(&mut frame).await.unwrap();
            seen.extend_from_slice(&frame);
            let size = 8 + body.len();
            answering.write_all(&answers[at..at + size]).await.unwrap();
            at += size;
        }
        (seen, asked, answering)
    });
    let mut got = vec![0; responses.len()];
    within(from_gateway.read_exact(&mut got)).await.unwrap();
    assert!(got == responses, "every answer, in order");
    assert!(within(serving).await.unwrap().0 == wanted, "every request, in order");
    within(writing).await.unwrap().unwrap();
}
