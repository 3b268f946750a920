"""Rows E2 and E5: bandwidth and capacity of an instance of its own, with figures small enough for one machine, as real clients see them."""

import base64
import contextlib
import random
import subprocess
import time
import uuid

from rows import row
from sluice import check, eventually, run

LINE = 1000


class Bought:
    """An instance of a spec that an operator made for it; gone at the end."""

    def __init__(self, world, bandwidth_mb_per_s):
        self.world = world
        specs = {spec["name"]: spec for spec in world.api("GET", "/v1/specs").json["items"]}
        least = {"bandwidth_mb_per_s": bandwidth_mb_per_s, "storage_gb_min": 105}
        self.spec = f"kafka.{bandwidth_mb_per_s}-{world.tag}"
        body = {key: value for key, value in specs["kafka.100"].items() if key != "name"} | least
        put = world.api("PUT", f"/operator/v1/specs/{self.spec}", body)
        check(put.status in (200, 201), f"the spec was not taken: {put.status} {put.body[:300]}")
        self.body = body

    def __enter__(self):
        order = self.world.order(spec=self.spec, storage_gb=105)
        answer = self.world.api("POST", self.world.path("instances"), order, Idempotency_Key=str(uuid.uuid4()))
        check(answer.status == 202, f"the order answered {answer.status}: {answer.body[:300]}")
        job = self.world.wait_job(answer.json["id"])
        check(job["state"] == "succeeded", f"the order ended {job['state']}: {job['problem']}")
        self.id, self.name = job["resource"]["id"], order["name"]
        self.bootstrap = self.get("")["bootstrap"]["private_plaintext"]
        return self

    def __exit__(self, *_):
        answer = self.world.api("DELETE", self.world.path(f"instances/{self.id}"), Idempotency_Key=str(uuid.uuid4()))
        if answer.status == 202:
            self.world.wait_job(answer.json["id"])
        self.world.api("PUT", f"/operator/v1/specs/{self.spec}", {**self.body, "available": False})

    def get(self, rest):
        answer = self.world.api("GET", self.world.path(f"instances/{self.id}{rest}"))
        check(answer.status == 200, f"{rest} answered {answer.status} {answer.code}")
        return answer.json

    def tool(self, name, *arguments):
        """One of Kafka's own tools."""
        return self.world.java(name, *arguments, instance=self.get(""))

    def make_topic(self, topic, *arguments):
        self.tool("TopicCommand", "--create", "--topic", topic, *arguments)

    def kcat(self, *arguments):
        return ["kcat", "-b", self.bootstrap, "-X", "topic.metadata.refresh.interval.ms=5000", *map(str, arguments)]

    def end(self, topic, partition):
        """The offset after the last one."""
        return int(run(*self.kcat("-Q", "-t", f"{topic}:{partition}:-1")).stdout.split()[-1])

    def payload(self, megabytes):
        """Lines that no codec makes smaller."""
        path = self.world.files / f"lines-{megabytes}"
        if not path.exists():
            with path.open("wb") as file:
                for _ in range(megabytes * 1_000_000 // LINE):
                    file.write(base64.b64encode(random.randbytes((LINE - 4) * 3 // 4))[:LINE - 1] + b"\n")
        return path


@contextlib.contextmanager
def busy(commands):
    """Clients that run until the end; one that gives up is a fault."""
    clients = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for command in commands]
    try:
        yield clients
        gone = [client for client in clients if client.poll() not in (None, 0)]
        check(not gone, f"{len(gone)} clients gave up: {gone[0].stderr.read()[-300:] if gone else ''}")
    finally:
        for client in clients:
            client.kill()
            client.wait()
            client.stderr.close()


def measured(bought, broker, way, connections, seconds):
    """Bytes a second that passed the broker, and how evenly (Jain's index over its busiest connections)."""
    def seen():
        found, cursor, began = {}, "", time.monotonic()
        while cursor is not None:
            page = bought.get(f"/connections?broker_id={broker}&limit=200" + (f"&cursor={cursor}" if cursor else ""))
            found |= {one["id"]: one[f"bytes_{way}"] for one in page["items"]}
            cursor = page["next_cursor"]
        return (began + time.monotonic()) / 2, found

    began, before = seen()
    # What is measured is a mean over time.
    time.sleep(seconds)
    ended, after = seen()
    moved = sorted((after[one] - before.get(one, 0) for one in after), reverse=True)
    each = moved[:connections]
    check(len(each) == connections and each[-1] > 0, f"{sum(one > 0 for one in moved)} of {connections} connections moved anything")
    return sum(moved) / (ended - began), sum(each) ** 2 / (connections * sum(one * one for one in each))


def producer(bought, topic, size):
    """Writes so many bytes to one partition, as fast as it can."""
    return bought.kcat("-P", "-t", topic, "-p", 0, "-X", "acks=1", "-X", "batch.size=65536", "-X", "linger.ms=20",
                       "-X", "max.in.flight=5", "-X", "queue.buffering.max.kbytes=8192", "-l", bought.payload(max(20, size // 1_000_000)))


def slowed(bought, topic, connections, seconds, warm_up=6):
    """Producers and then consumers of one partition, as fast as they can; share of the limit and fairness each way."""
    share = bought.get("/bandwidth")["share_bytes_per_second"]
    produce = producer(bought, topic, share * (seconds + warm_up) * 2 // connections)
    found = bought.tool("TopicCommand", "--describe", "--topic", topic).stdout.decode()
    leader = int(found.split("Leader: ")[1].split()[0])
    consume = bought.kcat("-C", "-t", topic, "-p", 0, "-o", "beginning", "-q", "-X", "queued.max.messages.kbytes=8192")
    results = {}
    for way, command in (("in", produce), ("out", consume)):
        with busy([command] * connections):
            # Until buffers are full and the burst is gone.
            time.sleep(warm_up)
            rate, fairness = measured(bought, leader, way, connections, seconds)
            results[way] = (rate / share, fairness)
    return results


@contextlib.contextmanager
def undisturbed_group(bought):
    """A member that would be missed after six seconds; its group is not rebalanced."""
    bought.make_topic("quiet")
    errors = bought.world.files / "member.log"
    with errors.open("wb") as log:
        member = subprocess.Popen(bought.kcat("-G", "quiet-group", "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=1000", "quiet"),
                                  stdout=subprocess.DEVNULL, stderr=log)
    try:
        yield
        check(member.poll() is None, "the group's member ended")
    finally:
        member.kill()
        member.wait()
    told = errors.read_text()
    check(told.count("assigned") == 1 and "revoked" not in told, f"the group was rebalanced: {told[-300:]}")


@row("E2")
def bandwidth(world):
    """Row E2: at the limit both ways, evenly, while a group notices nothing."""
    with Bought(world, 15) as bought:
        bought.make_topic("load", "--partitions", "1", "--replication-factor", "1")
        shown = world.sluice("bandwidth", "get", bought.name).stdout.decode()
        check("15.0 MB/s" in shown and "5.0 MB/s" in shown, f"the command line shows {shown}")
        with undisturbed_group(bought):
            results = slowed(bought, "load", 10, 30)
        for way, (of_share, fairness) in results.items():
            # Never more, to within what a mean over 30 s can tell; less only where other programs have the machine's time.
            check(0.9 < of_share < 1.03, f"{of_share:.3f} of the share went {way}")
            check(fairness > 0.9, f"fairness {way} is {fairness:.3f}")
        paused = [broker["ingress"]["paused_ms"] for broker in bought.get("/bandwidth")["brokers"]]
        check(max(paused) > 0, "nothing says that anybody was slowed")
    figures = ", ".join(f"{way} {of_share * 100:.1f} % (fairness {fairness:.3f})" for way, (of_share, fairness) in results.items())
    return f"10 connections at 5 MB/s: {figures}; no rebalance"


def produced(bought, topic, megabytes, partition=0):
    """kcat with every record acknowledged, or refused for good."""
    return run(*bought.kcat("-P", "-t", topic, "-p", partition, "-X", "acks=all", "-X", "batch.size=262144", "-l", bought.payload(megabytes)),
               ok=False, timeout=300)


@row("E5")
def capacity(world):
    """Row E5: 1 % of 35 GB a broker is what one machine can fill."""
    with Bought(world, 600) as bought:
        disk = bought.get("/capacity")["brokers"][0]["disk_bytes"]
        threshold = disk // 100
        # One broker holds all of it, and the others refuse too.
        for topic in ("old", "new"):
            bought.make_topic(topic, "--replica-assignment", bought.get("")["brokers"][0]["id"], "--config", "segment.bytes=1048576")
        world.sluice("capacity", "set", bought.name, "--policy", "produce-limited", "--threshold", "1")
        check(produced(bought, "old", 150).returncode == 0, "records were refused while there was room")
        levels = lambda: [notice["level"] for notice in bought.get("/capacity")["notices"]]
        used = lambda: max(one["used_bytes"] for one in bought.get("/capacity")["brokers"])
        used_now = eventually("what was produced is counted", lambda: (now := used()) > 149_000_000 and now)
        check(produced(bought, "new", int(threshold * 0.93 - used_now) // 1_000_000).returncode == 0, "records were refused while there was room")
        eventually("it is told that the disk fills up", lambda: levels() == ["filling"])
        refused = produced(bought, "new", 250)
        check(b"olicy" in refused.stderr, f"producing ended with {refused.returncode}: {refused.stderr[-300:]}")
        shown = eventually("every broker refuses", lambda: (now := bought.get("/capacity"))["state"] == "produce-limited" and
                           all(one["state"] == "produce-limited" for one in now["brokers"]) and now)
        most = max(one["used_bytes"] for one in shown["brokers"])
        check(threshold <= most < threshold * 1.6, f"{most} bytes are used at a threshold of {threshold}")
        eventually("it is told that the disk is full", lambda: levels() == ["full", "filling"])
        told = world.sluice("capacity", "get", bought.name).stdout.decode()
        check("produce-limited since" in told and ": filling, broker" in told, "the command line does not tell")
        taken = bought.end("new", 0)
        read = run(*bought.kcat("-C", "-t", "new", "-p", 0, "-e", "-q", "-f", "%o\n"), timeout=300).stdout.split()
        check(len(read) == taken > 0, f"{len(read)} of {taken} records were read while producing was refused")

        # Producing goes on as soon as the policy is the other one, and the oldest goes.
        world.sluice("capacity", "set", bought.name, "--policy", "auto-delete")
        eventually("records are taken again", lambda: produced(bought, "new", 20).returncode == 0)
        check(produced(bought, "new", 50).returncode == 0, "records were refused under auto-delete")
        first = lambda topic: int(run(*bought.kcat("-Q", "-t", f"{topic}:0:-2")).stdout.split()[-1])
        eventually("the oldest is dropped", lambda: first("old") > 0, 90)
        check(first("new") == 0 or first("old") > 100_000, "newer records went before older ones")
        deleted = eventually("it is told", lambda: sum(one["deleted_bytes"] for one in bought.get("/capacity")["brokers"]), 30)

        # Room that somebody makes is noticed.
        world.sluice("capacity", "set", bought.name, "--policy", "produce-limited")
        eventually("records are refused", lambda: produced(bought, "new", 20).returncode != 0, 90)
        for topic in ("old", "new"):
            bought.tool("TopicCommand", "--delete", "--topic", topic)
        bought.make_topic("again", "--partitions", "1")
        eventually("records are taken again", lambda: produced(bought, "again", 20).returncode == 0, 90)
    return f"refused at {most / disk * 100:.2f} % of the disk with the threshold at 1 %, {taken} records read meanwhile; auto-delete dropped {deleted // 1_000_000} MB"
