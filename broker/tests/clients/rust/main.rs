//! The Rust client krafka: reads its plan on standard input, says how each case went on standard output.
//!
//! A client like any other: it must not use anything of the crate that it stands in.

use futures::StreamExt;
use krafka::admin::NewTopic;
use krafka::auth::{AuthConfig, TlsConfig};
use krafka::consumer::{AutoOffsetReset, Consumer, ConsumerRecord, IsolationLevel};
use krafka::error::KrafkaError;
use krafka::producer::Record;
use krafka::{Compression, Kafka};
use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::io::BufRead;
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn Error>>;

const WAIT: Duration = Duration::from_secs(40);
/// Most cases wait for a rebalance or a time-out, so some run at a time.
const AT_A_TIME: usize = 4;

#[tokio::main]
async fn main() -> Outcome {
    let cases = std::io::stdin()
        .lock()
        .lines()
        .map(|line| Ok(Case::parse(&line?)))
        .collect::<Result<Vec<_>, std::io::Error>>()?;
    futures::stream::iter(cases).for_each_concurrent(AT_A_TIME, |case| async move { case.run().await }).await;
    Ok(())
}

/// One line of the plan.
struct Case(HashMap<String, String>);

impl Case {
    fn parse(line: &str) -> Self {
        let pair = |pair: &str| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self(line.split('\t').filter_map(pair).collect())
    }

    fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn topic(&self) -> &str {
        self.get("topic")
    }

    /// A line of the transcript: nothing in it may differ between two runs.
    fn trace(&self, text: &str) {
        self.say("trace", text);
    }

    fn say(&self, kind: &str, text: &str) {
        println!("{kind}\t{}\t{}", self.get("id"), text.split_whitespace().collect::<Vec<_>>().join(" "));
    }

    async fn run(&self) {
        let began = Instant::now();
        let outcome = match self.get("scenario") {
            "round-trip" => round_trip(self).await,
            "compression" => compression(self).await,
            "transaction" => transaction(self).await,
            "group-classic" => share_and_resume(self).await,
            "admin" => administer(self).await,
            "wrong-password" => wrong_password(self).await,
            _ => Err("this client does not know the scenario".into()),
        };
        match outcome {
            Ok(()) => self.say("ok", &began.elapsed().as_millis().to_string()),
            Err(failure) => self.say("fail", &failure.to_string()),
        }
    }

    async fn connect(&self) -> Result<Kafka, KrafkaError> {
        self.connect_with(&std::env::var("KAFKA_PASSWORD").unwrap_or_default()).await
    }

    /// Host names are verified, as they are by default.
    async fn connect_with(&self, password: &str) -> Result<Kafka, KrafkaError> {
        let user = self.get("user");
        let security = match self.get("mechanism") {
            "PLAIN" => AuthConfig::sasl_plain(user, password),
            "SCRAM-SHA-256" => AuthConfig::sasl_scram_sha256(user, password),
            "SCRAM-SHA-512" => AuthConfig::sasl_scram_sha512(user, password),
            _ => return Kafka::builder(self.get("bootstrap")).connect().await,
        };
        let security = security.with_tls(TlsConfig::new().with_ca_cert(self.get("ca")));
        Kafka::builder(self.get("bootstrap")).security(security).connect().await
    }
}

fn expect(holds: bool, otherwise: &str) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

async fn send(case: &Case, records: Vec<Record>, codec: Compression) -> Outcome {
    let producer = case.connect().await?.producer().compression(codec).build().await?;
    for record in records {
        let sent = producer.send(record).await?;
        expect(sent.is_persisted(), "a record was not acknowledged")?;
    }
    Ok(producer.close().await?)
}

/// Partition 0 up to the number of records that are expected, and whatever comes with the last of them.
async fn read(case: &Case, count: usize, isolation: IsolationLevel) -> Result<Vec<ConsumerRecord>, Box<dyn Error>> {
    let consumer = case.connect().await?.consumer_without_group().isolation_level(isolation).build().await?;
    consumer.assign(case.topic(), vec![0]).await?;
    consumer.seek_to_beginning(case.topic(), 0).await?;
    let (mut records, deadline) = (Vec::new(), Instant::now() + WAIT);
    while records.len() < count {
        expect(Instant::now() < deadline, &format!("read {} of {count} records", records.len()))?;
        records.extend(consumer.poll(Duration::from_millis(200)).await?);
    }
    consumer.close().await?;
    Ok(records)
}

async fn round_trip(case: &Case) -> Outcome {
    let record = |i: u32| {
        Record::new(case.topic(), format!("value-{i}")).key(format!("key-{i}")).header("number", i.to_string())
    };
    send(case, (0..100).map(record).collect(), Compression::None).await?;
    let records = read(case, 100, IsolationLevel::ReadUncommitted).await?;
    expect(records.len() == 100, &format!("{} records came back", records.len()))?;
    for (i, record) in records.iter().enumerate() {
        let same = record.key_str() == Some(&format!("key-{i}")) && record.value_str() == Some(&format!("value-{i}"));
        expect(same && record.headers.len() == 1, &format!("record {i} came back changed"))?;
    }
    case.trace("100 records came back in order with keys, values and headers");
    Ok(())
}

async fn compression(case: &Case) -> Outcome {
    let value = "compressible ".repeat(80);
    // zstd needs a C library in this client, and is left out; it reads every codec.
    let codecs = [
        ("none", Compression::None),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
    ];
    for (name, codec) in codecs {
        let records = (0..20).map(|_| Record::new(case.topic(), value.clone()).key(name)).collect();
        send(case, records, codec).await?;
    }
    let records = read(case, 80, IsolationLevel::ReadUncommitted).await?;
    for (name, _) in codecs {
        let count = records.iter().filter(|r| r.key_str() == Some(name) && r.value_str() == Some(&value)).count();
        case.trace(&format!("{name}: {count} records"));
        expect(count == 20, &format!("{name}: {count} of 20 records"))?;
    }
    Ok(())
}

async fn transaction(case: &Case) -> Outcome {
    let producer = case.connect().await?.producer().build_transactional(case.topic()).await?;
    for commit in [true, false, true] {
        producer.begin()?;
        for _ in 0..10 {
            let sent = producer.send(Record::new(case.topic(), if commit { "kept" } else { "aborted" })).await?;
            expect(sent.is_persisted(), "a record was not acknowledged")?;
        }
        if commit { producer.commit().await? } else { producer.abort().await? }
    }
    producer.close().await?;
    let all = read(case, 30, IsolationLevel::ReadUncommitted).await?;
    let committed = read(case, 20, IsolationLevel::ReadCommitted).await?;
    expect(all.len() == 30 && committed.len() == 20, &format!("{} committed, {} in all", committed.len(), all.len()))?;
    expect(committed.iter().all(|r| r.value_str() == Some("kept")), "a record of the aborted transaction was seen")?;
    case.trace("read_committed saw 20 records, read_uncommitted 30");
    Ok(())
}

async fn member(case: &Case) -> Result<Consumer, Box<dyn Error>> {
    let consumer = case
        .connect()
        .await?
        .consumer(case.topic())
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .enable_auto_commit(false)
        .build()
        .await?;
    consumer.subscribe([case.topic()]).await?;
    Ok(consumer)
}

/// Two members have a partition each; after their commit a third reads only what is new.
async fn share_and_resume(case: &Case) -> Outcome {
    let (first, second) = (member(case).await?, member(case).await?);
    let (mut seen, deadline) = (BTreeSet::new(), Instant::now() + WAIT);
    while partitions(&first, case).await != 1 || partitions(&second, case).await != 1 {
        expect(Instant::now() < deadline, "the members do not have a partition each in time")?;
        poll_both(&first, &second, &mut seen).await?;
    }
    case.trace("two members, a partition each");
    send_to_both(case, 0..20).await?;
    while seen.len() < 40 {
        expect(Instant::now() < deadline, &format!("read {} of 40 records", seen.len()))?;
        poll_both(&first, &second, &mut seen).await?;
    }
    for consumer in [&first, &second] {
        consumer.commit().await?;
        consumer.close().await?;
    }
    send_to_both(case, 20..25).await?;
    let (third, mut after, deadline) = (member(case).await?, BTreeSet::new(), Instant::now() + WAIT);
    while after.len() < 10 {
        expect(Instant::now() < deadline, &format!("read {} of 10 new records", after.len()))?;
        collect(&mut after, third.poll(Duration::from_millis(100)).await?);
    }
    third.close().await?;
    expect(after.len() == 10 && after.is_disjoint(&seen), "a committed record was read again")?;
    case.trace("a later member resumed after 40 committed records with 10 new ones");
    Ok(())
}

async fn partitions(consumer: &Consumer, case: &Case) -> usize {
    consumer.assignment().await.get(case.topic()).map_or(0, Vec::len)
}

/// Both at once: a member that waits for the other to join must not keep it from polling.
async fn poll_both(first: &Consumer, second: &Consumer, seen: &mut BTreeSet<String>) -> Outcome {
    let poll = Duration::from_millis(100);
    let (one, other) = futures::join!(first.poll(poll), second.poll(poll));
    collect(seen, one?);
    collect(seen, other?);
    Ok(())
}

fn collect(seen: &mut BTreeSet<String>, records: Vec<ConsumerRecord>) {
    seen.extend(records.iter().filter_map(|record| record.value_str().map(str::to_owned)));
}

async fn send_to_both(case: &Case, numbers: std::ops::Range<u32>) -> Outcome {
    let records = [0, 1].into_iter().flat_map(|partition| {
        let record = move |i: u32| Record::new(case.topic(), format!("{partition}/{i}")).partition(partition);
        numbers.clone().map(record)
    });
    send(case, records.collect(), Compression::None).await
}

async fn administer(case: &Case) -> Outcome {
    let kafka = case.connect().await?;
    let admin = kafka.admin();
    let cluster = admin.describe_cluster(Default::default()).await?;
    let found: BTreeSet<_> = cluster.brokers.iter().map(|b| format!("{}:{}", b.host, b.port)).collect();
    let advertised: BTreeSet<_> = case.get("bootstrap").split(',').map(str::to_owned).collect();
    expect(found == advertised, &format!("brokers: expected {advertised:?}, found {found:?}"))?;
    case.trace("describe cluster: every broker, at its address on this path");
    for (_, created) in admin.create_topics([NewTopic::new(case.topic(), 2, -1)?], Default::default()).await? {
        created?;
    }
    case.trace("created a topic of 2 partitions");
    for (_, deleted) in admin.delete_topics([case.topic()], Default::default()).await? {
        deleted?;
    }
    case.trace("deleted");
    Ok(())
}

async fn wrong_password(case: &Case) -> Outcome {
    let refused =
        async { case.connect_with("not-the-password").await?.admin().describe_cluster(Default::default()).await };
    match refused.await {
        Err(KrafkaError::Auth { .. }) => case.trace("wrong password: authentication error"),
        Err(other) => return Err(format!("refused by: {other}").into()),
        Ok(_) => return Err("was let in".into()),
    }
    Ok(())
}
