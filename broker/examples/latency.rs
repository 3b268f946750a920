//! Open-loop latency of small produce requests (acks=1) over one plaintext connection: each request has a time at
//! which it ought to be sent, and its latency counts from then (no coordinated omission).
//!
//! `latency ADDRESS TOPIC REQUESTS_PER_SECOND SECONDS` prints one JSON object, microseconds.

use anyhow::{Context, Result, bail};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        ProduceRequest, RequestHeader, TopicName,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::{Encodable, StrBytes},
    records::{
        Compression, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    },
};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

const VERSION: i16 = 7;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, topic, rate, seconds] = args.as_slice() else {
        bail!("latency ADDRESS TOPIC REQUESTS_PER_SECOND SECONDS")
    };
    let (rate, seconds): (f64, f64) = (rate.parse()?, seconds.parse()?);
    let requests = (rate * seconds) as i32;
    let body = produce_body(topic)?;

    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    let (intended, mut expected) = mpsc::unbounded_channel::<Instant>();

    let receiver = tokio::spawn(async move {
        let mut micros = Vec::with_capacity(requests as usize);
        let mut frame = Vec::new();
        while let Some(sent) = expected.recv().await {
            let length = reader.read_i32().await? as usize;
            frame.resize(length, 0);
            reader.read_exact(&mut frame).await?;
            micros.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        anyhow::Ok(micros)
    });

    let start = Instant::now() + Duration::from_millis(50);
    for correlation in 0..requests {
        let due = start + Duration::from_secs_f64(f64::from(correlation) / rate);
        // The runtime's timer counts in ms; the last stretch is waited for by looking.
        if let Some(early) = due.checked_duration_since(Instant::now() + Duration::from_millis(2)) {
            tokio::time::sleep(early).await;
        }
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        intended.send(due).context("the receiver has ended")?;
        writer.write_all(&request(correlation, &body)?).await?;
    }
    drop(intended);
    let mut micros = receiver.await??;
    micros.sort_by(f64::total_cmp);
    let at = |quantile: f64| micros[((micros.len() - 1) as f64 * quantile) as usize];
    println!(
        "{}",
        serde_json::json!({"requests": micros.len(), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0)})
    );
    Ok(())
}

fn request(correlation: i32, body: &[u8]) -> Result<Bytes> {
    let header = RequestHeader::default()
        .with_request_api_key(0)
        .with_request_api_version(VERSION)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str("latency")));
    let mut head = BytesMut::new();
    header.encode(&mut head, 1)?;
    let mut frame = BytesMut::with_capacity(4 + head.len() + body.len());
    frame.put_i32((head.len() + body.len()) as i32);
    frame.put_slice(&head);
    frame.put_slice(body);
    Ok(frame.freeze())
}

fn produce_body(topic: &str) -> Result<Bytes> {
    let record = Record {
        transactional: false,
        control: false,
        partition_leader_epoch: -1,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: -1,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(Bytes::from(vec![b'x'; 1024])),
        headers: Default::default(),
        delete_horizon: false,
    };
    let mut records = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut records, [&record], &options)?;
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(records.freeze()));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_acks(1).with_timeout_ms(10_000).with_topic_data(vec![topic]);
    let mut body = BytesMut::new();
    request.encode(&mut body, VERSION)?;
    Ok(body.freeze())
}
