"""Gateways that are killed or asked to leave, and leaders that move, under producers that must not notice."""

import json
import os
import signal
import subprocess
import time

from addresses import BEHIND, Sniffer
from ledger import KEYS, PARTITIONS, Ledger, make_topic, percentile, until
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
    topic, beside = (make_topic(world, f"soak-leaders-{world.tag}{more}", "--config", "message.timestamp.type=LogAppendTime") for more in ("", "-beside"))
    bootstrap = world.instance["bootstrap"]["private_plaintext"]
    # In the open mode too, moving leaders needs a right of its own.
    world.sluice("acl", "add", world.instance["name"], "--principal", f"User:{world.user}", "--resource", "cluster", "--name", "kafka-cluster",
                 "--operation", "alter,describe")
    properties = world.java_properties()
    java = lambda tool, config, *arguments: world.java(tool, config, properties, *arguments, way="private_sasl_ssl")
    listing = lambda: json.loads(run("kcat", "-b", bootstrap, "-L", "-J", "-t", topic).stdout)
    leaders = lambda: {p["partition"]: p["leader"] for t in listing()["topics"] for p in t["partitions"]}
    hosts = {one["id"]: one["name"].rsplit(":", 1)[0] for one in listing()["brokers"]}
    ids = sorted(hosts)
    sniffer = Sniffer(world, topic)
    consumer = subprocess.Popen(["kcat", "-b", bootstrap, "-C", "-t", topic, "-q", "-f", "%s\n"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    ledger, moved, waits, spans = Ledger(world, topic), 0, [], []
    # How long clients take by themselves: one that Kafka serves past the gateways.
    direct = Ledger(world, beside, bootstrap=",".join(f"{host}:{BEHIND}" for host in hosts.values()))
    plan = world.files / "leaders.json"
    try:
        until("there are records", lambda: ledger.sent > 100)
        while moved < times:
            before = leaders()
            order = lambda p: [ids[(ids.index(before[p]) + 1 + n) % len(ids)] for n in range(3)]
            plan.write_text(json.dumps({"version": 1, "partitions": [{"topic": one, "partition": p, "replicas": order(p)} for one in (topic, beside) for p in range(PARTITIONS)]}))
            java("reassign.ReassignPartitionsCommand", "--command-config", "--execute", "--reassignment-json-file", plan)
            began, at = time.monotonic(), time.time()
            java("LeaderElectionCommand", "--admin.config", "--election-type", "preferred", "--all-topic-partitions")
            wanted = {p: order(p)[0] for p in range(PARTITIONS)}
            until("the leaders are where they were sent", lambda: leaders() == wanted)
            waits.append(time.monotonic() - began)
            spans.append((at, time.time()))
            told = {one["name"] for one in listing()["brokers"]}
            check(told == set(bootstrap.split(",")), f"clients are told {told}")
            sniffer.look({host: next(p for p in wanted if wanted[p] != id_) for id_, host in hosts.items()})
            moved += PARTITIONS
            ledger.alive()
            direct.alive()
        written = [one.sent for one in (ledger, direct)]
        until("producers have written on after the last move", lambda: all(one.sent > before + 10 * KEYS for one, before in zip((ledger, direct), written)))
        sent = ledger.finish()
        direct.finish()
        followed = [percentile(one.pauses(spans), 0.5) for one in (ledger, direct)]
        check(consumer.poll() is None, f"the consumer gave up: {consumer.stderr.read()[-300:] if consumer.poll() is not None else ''}")
    finally:
        sniffer.close()
        ledger.close()
        direct.close()
        consumer.kill()
        consumer.wait()
    return f"{moved} moves: {sent} acknowledged, none lost, none twice, all in order; {sniffer.figures()} name no address but the instance's; clients were sent to the new leaders within {max(waits):.2f} s, p50 {percentile(waits, 0.5):.2f}; a partition got nothing for {followed[0] * 1000:.0f} ms, {followed[1] * 1000:.0f} by a producer past the gateways (p50)"
