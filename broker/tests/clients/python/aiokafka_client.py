"""aiokafka, a client written in Python. Reads its plan on standard input."""

import asyncio
import os
import ssl
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError

from case import VALUE, Case, equal, expect, run_plan

WAIT_SECONDS = 40


def connection(case: Case, password: str | None = None) -> dict:
    settings = {"bootstrap_servers": case.bootstrap.split(",")}
    if case.path == "sasl-ssl":
        context = ssl.create_default_context(cafile=case.ca)  # verifies the host name
        if case.tls:
            version = ssl.TLSVersion.TLSv1_2 if case.tls == "1.2" else ssl.TLSVersion.TLSv1_3
            context.minimum_version = context.maximum_version = version
        settings |= {
            "security_protocol": "SASL_SSL",
            "ssl_context": context,
            "sasl_mechanism": case.mechanism,
            "sasl_plain_username": case.user,
            "sasl_plain_password": password or os.environ["KAFKA_PASSWORD"],
        }
    return settings


async def send(case: Case, records: list[dict], **settings) -> None:
    async with AIOKafkaProducer(**connection(case), acks="all", **settings) as producer:
        sent = [await producer.send(case.topic, **record) for record in records]
        await asyncio.gather(*sent)


async def read_all(case: Case, isolation: str = "read_uncommitted") -> list:
    partition = TopicPartition(case.topic, 0)
    # Not the end that this level sees: a commit is acknowledged before its markers are written.
    async with AIOKafkaConsumer(**connection(case), isolation_level="read_uncommitted") as consumer:
        end = (await consumer.end_offsets([partition]))[partition]
    async with AIOKafkaConsumer(**connection(case), isolation_level=isolation, enable_auto_commit=False) as consumer:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        records, deadline = [], time.monotonic() + WAIT_SECONDS
        while await consumer.position(partition) < end:
            expect(time.monotonic() < deadline, f"read {len(records)} records, not up to offset {end}")
            records += (await consumer.getmany(partition, timeout_ms=200)).get(partition, [])
        return records


def numbered(count: int) -> list[dict]:
    return [{"key": b"key-%d" % i, "value": b"value-%d" % i} for i in range(count)]


async def round_trip(case: Case) -> None:
    await send(case, [r | {"headers": [("number", b"%d" % i)]} for i, r in enumerate(numbered(100))])
    found = [(r.key, r.value, r.headers) for r in await read_all(case)]
    equal([(b"key-%d" % i, b"value-%d" % i, (("number", b"%d" % i),)) for i in range(100)], found, "records")
    case.trace("100 records came back in order with keys, values and headers")


async def compression(case: Case) -> None:
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    for codec in codecs:
        kind = None if codec == "none" else codec
        await send(case, [{"key": codec.encode(), "value": VALUE}] * 20, compression_type=kind, linger_ms=20)
    records = await read_all(case)
    for codec in codecs:
        count = sum(r.key == codec.encode() and r.value == VALUE for r in records)
        case.trace(f"{codec}: {count} records")
        equal(20, count, codec)


async def idempotent(case: Case) -> None:
    await send(case, numbered(200), enable_idempotence=True, max_batch_size=1000)
    equal([b"value-%d" % i for i in range(200)], [r.value for r in await read_all(case)], "records")
    case.trace("200 records, each once and in order")


async def transaction(case: Case) -> None:
    async with AIOKafkaProducer(**connection(case), transactional_id=case.topic) as producer:
        for commit in (True, False, True):
            await producer.begin_transaction()
            for _ in range(10):
                await producer.send_and_wait(case.topic, b"kept" if commit else b"aborted")
            await (producer.commit_transaction() if commit else producer.abort_transaction())
    equal([b"kept"] * 20, [r.value for r in await read_all(case, "read_committed")], "committed records")
    equal(30, len(await read_all(case)), "all records")
    case.trace("read_committed saw 20 records, read_uncommitted 30")


def member(case: Case) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(case.topic, **connection(case), group_id=case.topic, auto_offset_reset="earliest", enable_auto_commit=False)


async def share_and_resume(case: Case) -> None:
    seen, members = set(), [member(case), member(case)]
    await asyncio.gather(*(m.start() for m in members))
    try:
        await until("each member has a partition", members, seen,
                    lambda: all(len(m.assignment()) == 1 for m in members) and len(set().union(*(m.assignment() for m in members))) == 2)
        case.trace("two members, a partition each")
        await produce_to_both(case, range(20))
        await until("all records are read", members, seen, lambda: len(seen) == 40)
        await asyncio.gather(*(m.commit() for m in members))
    finally:
        await asyncio.gather(*(m.stop() for m in members))
    await produce_to_both(case, range(20, 25))
    after = set()
    async with member(case) as third:
        await until("the new records are read", [third], after, lambda: len(after) >= 10)
    equal(10, len(after), "records after the commit")
    expect(not after & seen, "a committed record was read again")
    case.trace("a later member resumed after 40 committed records with 10 new ones")


async def produce_to_both(case: Case, numbers: range) -> None:
    await send(case, [{"partition": p, "value": b"%d/%d" % (p, i)} for p in (0, 1) for i in numbers])


async def until(what: str, members: list[AIOKafkaConsumer], seen: set, holds) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        expect(time.monotonic() < deadline, f"not in time: {what}; read {len(seen)}")
        for batches in await asyncio.gather(*(m.getmany(timeout_ms=200) for m in members)):
            seen.update(record.value for batch in batches.values() for record in batch)


async def admin(case: Case) -> None:
    client = AIOKafkaAdminClient(**connection(case))
    await client.start()
    try:
        cluster = await client.describe_cluster()
        equal(case.brokers, {f"{b['host']}:{b['port']}" for b in cluster["brokers"]}, "describe cluster")
        case.trace("describe cluster: every broker, at its address on this path")
        await client.create_topics([NewTopic(case.topic, num_partitions=2, replication_factor=min(3, len(case.brokers)))])
        await eventually(client, case, 2)
        case.trace("created a topic of 2 partitions")
        await client.create_partitions({case.topic: NewPartitions(total_count=3)})
        await eventually(client, case, 3)
        case.trace("now 3 partitions")
        await client.delete_topics([case.topic])
        await eventually(client, case, 0)
        case.trace("deleted")
    finally:
        await client.close()


async def eventually(client: AIOKafkaAdminClient, case: Case, partitions: int) -> None:
    """Metadata reaches each broker in its own time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        (topic,) = await client.describe_topics([case.topic])
        if len(topic["partitions"]) == partitions:
            return
        expect(time.monotonic() < deadline, f"the topic has not {partitions} partitions in time")
        await asyncio.sleep(0.1)


async def refusal(settings: dict) -> KafkaError:
    client = AIOKafkaAdminClient(**settings, request_timeout_ms=4000)
    try:
        await asyncio.wait_for(client.start(), 15)
    except KafkaError as refused:
        return refused
    finally:
        await client.close()
    raise AssertionError("was let in")


async def wrong_password(case: Case) -> None:
    refused = await refusal(connection(case, "not-the-password"))
    case.trace(f"wrong password: {type(refused).__name__}")


async def untrusted(case: Case) -> None:
    settings = connection(case) | {"ssl_context": ssl.create_default_context()}
    case.trace(f"unknown authority: {type(await refusal(settings)).__name__}")


async def wrong_port(case: Case) -> None:
    case.trace(f"wrong port: {type(await refusal(connection(case))).__name__}")


scenarios = {
    "round-trip": round_trip, "compression": compression, "idempotent": idempotent, "transaction": transaction,
    "group-classic": share_and_resume, "admin": admin, "wrong-password": wrong_password, "untrusted": untrusted,
    "tls-on-plaintext": wrong_port, "plaintext-on-tls": wrong_port,
}
run_plan({name: lambda case, run=run: asyncio.run(run(case)) for name, run in scenarios.items()})
