"""Gateways that are killed or asked to leave, and leaders that move, under producers that must not notice."""

import json
import os
import signal
import subprocess
import time

from addresses import BEHIND, Sniffer
from ledger import KEYS, PARTITIONS, Ledger, franz_go, java, librdkafka, make_topic, percentile, until
from sluice import PlainClient, check, run


def gateway(world, host):
    """The process that serves this address; none while there is none."""
    broker = next(broker["id"] for broker in world.instance["brokers"] if broker["host"] == host)
    found = run("pgrep", "-f", f"sluice-node gateway --dir .*/{world.instance['id']}/{broker}( |$)", ok=False).stdout.split()
    return int(found[0]) if found else None


def end(world, host, sign=signal.SIGKILL):
    """Sends it to the gateway of this address, and waits until that has left."""
    process = gateway(world, host)
    check(process, f"no gateway serves {host}")
    os.kill(process, sign)
    until(f"the gateway of {host} has left", lambda: gateway(world, host) != process)


def serves(host):
    """Seconds until it does."""
    return until(f"{host} serves", lambda: PlainClient.anonymous(host))


def replaced(world, times, sign):
    """Seconds until a broker served again, for each time that its gateway was sent `sign`."""
    topic, brokers = make_topic(world, f"soak-{sign.name.lower()}-{world.tag}"), world.hosts
    before, waits, ledger = world.jvms(), [], Ledger(world, topic)
    try:
        until("the producer has written", lambda: ledger.sent > 100)
        for number in range(times):
            host = brokers[number % len(brokers)]
            until("the producer is connected to every broker", ledger.at_every_broker)
            end(world, host, sign)
            waits.append(serves(host))
            ledger.alive()
        sent = ledger.finish()
    finally:
        ledger.close()
    check(world.jvms() == before, "a broker's JVM is another one")
    return f"{times} × {sign.name}: {sent} acknowledged, none lost, none twice, all in order; served again within {max(waits):.2f} s, p99 {percentile(waits, 0.99):.2f}"


def killed_under_load(world, times):
    return replaced(world, times, signal.SIGKILL)


def drained_under_load(world, times):
    return replaced(world, times, signal.SIGTERM)


def leaders_move(world, times):
    """Every address that a client is told is one of the instance's, and no record is lost."""
    bootstrap = world.instance["bootstrap"]["private_plaintext"]
    # In the open mode too, moving leaders needs a right of its own.
    world.sluice("acl", "add", world.instance["name"], "--principal", f"User:{world.user}", "--resource", "cluster", "--name", "kafka-cluster",
                 "--operation", "alter,describe")
    properties = world.java_properties()
    tool = lambda name, config, *arguments: world.java(name, config, properties, *arguments, way="private_sasl_ssl")
    listing = lambda: json.loads(run("kcat", "-b", bootstrap, "-L", "-J").stdout)
    hosts = {one["id"]: one["name"].rsplit(":", 1)[0] for one in listing()["brokers"]}
    ids = sorted(hosts)
    # How long a client takes by itself tells its twin, which Kafka serves past the gateways.
    ways = {"gateways": bootstrap, "kafka": ",".join(f"{host}:{BEHIND}" for host in hosts.values())}
    topics = {(client, way): make_topic(world, f"soak-leaders-{world.tag}-{client.__name__}-{way}", "--config", "message.timestamp.type=LogAppendTime")
              for client in (franz_go, java, librdkafka) for way in ways}
    topic = topics[librdkafka, "gateways"]
    leaders = lambda: {(t["topic"], p["partition"]): p["leader"] for t in listing()["topics"] if t["topic"] in topics.values() for p in t["partitions"]}
    sniffer = Sniffer(world, topic)
    consumer = subprocess.Popen(["kcat", "-b", bootstrap, "-C", "-t", topic, "-q", "-f", "%s\n"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    ledgers, moved, waits, spans = {}, 0, [], []
    plan = world.files / "leaders.json"
    try:
        for (client, way), one in topics.items():
            ledgers[client, way] = Ledger(world, one, per_second=200, bootstrap=ways[way], client=client)
        written_on([*ledgers.values()])
        while moved < times:
            before = leaders()
            order = lambda which: [ids[(ids.index(before[which]) + 1 + n) % len(ids)] for n in range(3)]
            plan.write_text(json.dumps({"version": 1, "partitions": [{"topic": one, "partition": p, "replicas": order((one, p))} for one, p in before]}))
            tool("reassign.ReassignPartitionsCommand", "--command-config", "--execute", "--reassignment-json-file", plan)
            began, at = time.monotonic(), time.time()
            tool("LeaderElectionCommand", "--admin.config", "--election-type", "preferred", "--all-topic-partitions")
            wanted = {which: order(which)[0] for which in before}
            until("the leaders are where they were sent", lambda: leaders() == wanted)
            waits.append(time.monotonic() - began)
            spans.append((at, time.time()))
            told = {one["name"] for one in listing()["brokers"]}
            check(told == set(bootstrap.split(",")), f"clients are told {told}")
            sniffer.look({host: next(p for p in range(PARTITIONS) if wanted[topic, p] != id_) for id_, host in hosts.items()})
            moved += len(wanted)
            for ledger in ledgers.values():
                ledger.alive()
        written_on([*ledgers.values()])
        sent = sum(ledger.finish() for ledger in ledgers.values())
        pauses = {which: percentile(ledger.pauses(spans), 0.5) for which, ledger in ledgers.items()}
        check(consumer.poll() is None, f"the consumer gave up: {consumer.stderr.read()[-300:] if consumer.poll() is not None else ''}")
    finally:
        sniffer.close()
        for ledger in ledgers.values():
            ledger.close()
        consumer.kill()
        consumer.wait()
    compared = ", ".join(f"{client.__name__} {pauses[client, 'gateways'] * 1000:.0f} and {pauses[client, 'kafka'] * 1000:.0f}" for client in (franz_go, java, librdkafka))
    return (f"{moved} moves: {sent} acknowledged, none lost, none twice, all in order; {sniffer.figures()} name no address but the instance's; "
            f"clients were sent to the new leaders within {max(waits):.2f} s, p50 {percentile(waits, 0.5):.2f}; "
            f"ms that a partition got nothing for, and past the gateways (p50): {compared}")


def written_on(ledgers):
    """Kafka has a few records more of each key and producer."""
    wanted = [ledger.written() + 10 * KEYS for ledger in ledgers]
    until("producers have written on", lambda: all(ledger.written() >= enough for ledger, enough in zip(ledgers, wanted)))
