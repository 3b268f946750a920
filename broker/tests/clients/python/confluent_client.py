"""librdkafka through confluent-kafka: every scenario. Reads its plan on standard input."""

import os
import random
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic)

from case import VALUE, Case, equal, expect, run_plan

WAIT_SECONDS = 40


def connection(case: Case, password: str | None = None) -> dict:
    settings = {"bootstrap.servers": case.bootstrap}
    if case.path == "sasl-ssl":
        settings |= {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": case.mechanism,
            "sasl.username": case.user,
            "sasl.password": password or os.environ["KAFKA_PASSWORD"],
            "ssl.ca.location": case.ca,
            "ssl.endpoint.identification.algorithm": "https",
        }
    return settings


def send(case: Case, records: list[dict], **settings) -> list[str]:
    """Produces and waits; names of the errors, in the order of the records."""
    producer = Producer(connection(case) | {"acks": "all"} | {k.replace("_", "."): v for k, v in settings.items()})
    errors = {}
    for number, record in enumerate(records):
        producer.produce(case.topic, on_delivery=lambda error, _, n=number: errors.update({n: error}), **record)
        producer.poll(0)
    equal(0, producer.flush(WAIT_SECONDS), "records left after the flush")
    return [error.name() for _, error in sorted(errors.items()) if error is not None]


def end_of_log(case: Case) -> int:
    consumer = Consumer(connection(case) | {"group.id": case.topic + "-end", "isolation.level": "read_uncommitted"})
    try:
        return consumer.get_watermark_offsets(TopicPartition(case.topic, 0), timeout=WAIT_SECONDS)[1]
    finally:
        consumer.close()


def read_all(case: Case, isolation: str = "read_uncommitted") -> list:
    # Not the end that this level sees: a commit is acknowledged before its markers are written.
    end = end_of_log(case)
    consumer = Consumer(connection(case) | {
        "group.id": case.topic + "-reader", "isolation.level": isolation, "enable.auto.commit": False,
        "enable.partition.eof": True, "fetch.message.max.bytes": 16_000_000, "receive.message.max.bytes": 100_000_000,
    })
    consumer.assign([TopicPartition(case.topic, 0, 0)])
    records, deadline = [], time.monotonic() + WAIT_SECONDS
    try:
        while True:
            record = consumer.poll(1)
            expect(time.monotonic() < deadline, f"read {len(records)} records and found no end")
            if record is None:
                continue
            if record.error() and record.error().code() == KafkaError._PARTITION_EOF:
                if record.offset() >= end:
                    return records
                continue
            expect(not record.error(), str(record.error()))
            records.append(record)
    finally:
        consumer.close()


def numbered(count: int) -> list[dict]:
    return [{"key": f"key-{i}", "value": f"value-{i}"} for i in range(count)]


def round_trip(case: Case) -> None:
    equal([], send(case, [r | {"headers": {"number": str(i)}} for i, r in enumerate(numbered(100))]), "errors")
    records = read_all(case)
    found = [(r.key(), r.value(), r.headers()) for r in records]
    equal([(b"key-%d" % i, b"value-%d" % i, [("number", b"%d" % i)]) for i in range(100)], found, "records")
    case.trace("100 records came back in order with keys, values and headers")


def compression(case: Case) -> None:
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    for codec in codecs:
        equal([], send(case, [{"key": codec, "value": VALUE}] * 20, compression_type=codec, linger_ms=20), f"errors with {codec}")
    records = read_all(case)
    for codec in codecs:
        count = sum(r.key() == codec.encode() and r.value() == VALUE for r in records)
        case.trace(f"{codec}: {count} records")
        equal(20, count, codec)


def idempotent(case: Case) -> None:
    equal([], send(case, numbered(200), enable_idempotence=True, batch_size=1000), "errors")
    equal([b"value-%d" % i for i in range(200)], [r.value() for r in read_all(case)], "records")
    case.trace("200 records, each once and in order")


def transaction(case: Case) -> None:
    producer = Producer(connection(case) | {"transactional.id": case.topic})
    producer.init_transactions(WAIT_SECONDS)
    for commit in (True, False, True):
        producer.begin_transaction()
        for _ in range(10):
            producer.produce(case.topic, value="kept" if commit else "aborted")
        producer.flush(WAIT_SECONDS)
        producer.commit_transaction(WAIT_SECONDS) if commit else producer.abort_transaction(WAIT_SECONDS)
    equal([b"kept"] * 20, [r.value() for r in read_all(case, "read_committed")], "committed records")
    equal(30, len(read_all(case)), "all records")
    case.trace("read_committed saw 20 records, read_uncommitted 30")


def compaction(case: Case) -> None:
    equal([], send(case, [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}, {"key": "a", "value": None}]), "errors")
    case.trace(f"keyless record: {send(case, [{'value': '3'}])}")
    records = read_all(case)
    equal([(b"a", b"1"), (b"b", b"2"), (b"a", None)], [(r.key(), r.value()) for r in records], "records")
    case.trace("3 keyed records, the last a tombstone")


def large(case: Case) -> None:
    value = random.Random(1).randbytes(9_900_000)
    equal([], send(case, [{"value": value}], message_max_bytes=20_000_000), "errors")
    equal(["MSG_SIZE_TOO_LARGE"], send(case, [{"value": bytes(10_700_000)}], message_max_bytes=20_000_000), "errors over the limit")
    case.trace("10.7 MB: MSG_SIZE_TOO_LARGE")
    expect([r.value() for r in read_all(case)] == [value], "the large message came back changed")
    case.trace("9.9 MB: came back whole")


def share_and_resume(protocol: str):
    def run(case: Case) -> None:
        seen = set()
        members = [member(case, protocol), member(case, protocol)]
        until("each member has a partition", members, seen,
              lambda: all(len(m.assignment()) == 1 for m in members) and len({m.assignment()[0].partition for m in members}) == 2)
        case.trace("two members, a partition each")
        produce_to_both(case, range(20))
        until("all records are read", members, seen, lambda: len(seen) == 40)
        for one in members:
            one.commit(asynchronous=False)
            one.close()
        produce_to_both(case, range(20, 25))
        after, third = set(), member(case, protocol)
        until("the new records are read", [third], after, lambda: len(after) >= 10)
        third.close()
        equal(10, len(after), "records after the commit")
        expect(not after & seen, "a committed record was read again")
        case.trace("a later member resumed after 40 committed records with 10 new ones")

    return run


def member(case: Case, protocol: str) -> Consumer:
    consumer = Consumer(connection(case) | {
        "group.id": case.topic, "group.protocol": protocol, "auto.offset.reset": "earliest", "enable.auto.commit": False,
    })
    consumer.subscribe([case.topic])
    return consumer


def produce_to_both(case: Case, numbers: range) -> None:
    records = [{"partition": p, "value": f"{p}/{i}"} for p in (0, 1) for i in numbers]
    equal([], send(case, records), "errors")


def until(what: str, members: list[Consumer], seen: set, holds) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        expect(time.monotonic() < deadline, f"not in time: {what}; read {len(seen)}")
        for one in members:
            record = one.poll(0.1)
            if record is not None:
                expect(not record.error(), str(record.error()))
                seen.add(record.value())


def admin(case: Case) -> None:
    client = AdminClient(connection(case))
    cluster = client.describe_cluster(request_timeout=20).result()
    equal(case.brokers, {f"{n.host}:{n.port}" for n in cluster.nodes}, "describe cluster")
    case.trace("describe cluster: every broker, at its address on this path")
    metadata = client.list_topics(timeout=20)
    equal(case.brokers, {f"{b.host}:{b.port}" for b in metadata.brokers.values()}, "metadata")
    client.create_topics([NewTopic(case.topic, 2, config={"retention.ms": "3600000"})])[case.topic].result()
    eventually(lambda: partitions(client, case) == 2)
    case.trace("created a topic of 2 partitions")
    eventually(lambda: setting(client, case, "retention.ms") == "3600000")
    longer = ConfigEntry("retention.ms", "7200000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, case.topic, incremental_configs=[longer])
    client.incremental_alter_configs([resource])[resource].result()
    eventually(lambda: setting(client, case, "retention.ms") == "7200000")
    case.trace("retention.ms 7200000")
    client.create_partitions([NewPartitions(case.topic, 3)])[case.topic].result()
    eventually(lambda: partitions(client, case) == 3)
    case.trace("now 3 partitions")
    client.list_consumer_groups(request_timeout=20).result()
    client.delete_topics([case.topic])[case.topic].result()
    eventually(lambda: partitions(client, case) == 0)
    case.trace("deleted")


def partitions(client: AdminClient, case: Case) -> int:
    found = client.list_topics(timeout=20).topics.get(case.topic)
    return len(found.partitions) if found else 0


def setting(client: AdminClient, case: Case, name: str) -> str:
    resource = ConfigResource(ConfigResource.Type.TOPIC, case.topic)
    return client.describe_configs([resource])[resource].result()[name].value


def eventually(holds) -> None:
    """Metadata reaches each broker in its own time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            if holds():
                return
        except KafkaException:
            if time.monotonic() > deadline:
                raise
        expect(time.monotonic() < deadline, "the change was not seen in time")
        time.sleep(0.1)


def refusal(settings: dict) -> set[str]:
    """Names of the errors that a client is told within ten seconds; fails if it is let in."""
    errors = set()
    client = AdminClient(settings | {"error_cb": lambda error: errors.add(error.name()), "socket.timeout.ms": 4000})
    try:
        client.list_topics(timeout=6)
    except KafkaException as refused:
        client.poll(0.5)
        return errors | {refused.args[0].name()}
    raise AssertionError("was let in")


def wrong_password(case: Case) -> None:
    errors = refusal(connection(case, "not-the-password"))
    expect("_AUTHENTICATION" in errors, f"no authentication error among {errors}")
    case.trace("wrong password: _AUTHENTICATION")


def untrusted(case: Case) -> None:
    errors = refusal({k: v for k, v in connection(case).items() if k != "ssl.ca.location"})
    expect("_SSL" in errors, f"no TLS error among {errors}")
    case.trace("unknown authority: _SSL")


def wrong_port(case: Case) -> None:
    refusal(connection(case))
    case.trace("wrong port: refused")


run_plan({
    "round-trip": round_trip, "compression": compression, "idempotent": idempotent, "transaction": transaction,
    "compaction": compaction, "large": large, "group-classic": share_and_resume("classic"),
    "group-new": share_and_resume("consumer"), "admin": admin, "wrong-password": wrong_password, "untrusted": untrusted,
    "tls-on-plaintext": wrong_port, "plaintext-on-tls": wrong_port,
})
