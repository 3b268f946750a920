"""Rows B, C, G5 and H1: instances from their order to their end, and the jobs that do it."""

import json
import os
import signal
import time
import urllib.request
import uuid
from pathlib import Path

from paths import producers
from raw_topics import PASSING, POLICY_VIOLATION, RawTopics
from rows import refused, row
from sluice import PlainClient, check, eventually, run


@row("B1")
def buy(world):
    instance = world.instance
    check(instance["state"] == "running" and len(instance["brokers"]) == 3, f"{instance['state']}, {len(instance['brokers'])} brokers")
    topic = f"orders-{world.tag}"
    world.make_topic(topic)
    world.kcat("-P", "-t", topic, "-X", "acks=all", stdin=b"hello\n", tls="PLAIN")
    out = world.kcat("-C", "-t", topic, "-e", "-q", tls="PLAIN").stdout
    check(out == b"hello\n", f"read back {out!r}")
    return f"ready in {world.bought_in:.1f} s"


@row("B2")
def zones(world):
    problem = refused(world.api("POST", world.path("instances"), world.order(zones=["local-1a", "local-1b"]), Idempotency_Key=str(uuid.uuid4())), 422, "validation-failed")
    check([e["pointer"] for e in problem["errors"]] == ["/zones"], f"errors {problem['errors']}")
    check(len({b["zone"] for b in world.instance["brokers"]}) == 3, "the brokers are not over three zones")
    listing = json.loads(world.kcat("-L", "-J").stdout)
    topic = f"zoned-{world.tag}"
    world.make_topic(topic)
    listing = json.loads(world.kcat("-L", "-J", "-t", topic).stdout)
    for partition in listing["topics"][0]["partitions"]:
        check(len({r["id"] for r in partition["replicas"]}) == 3, "replicas share a broker")


@row("B3")
def states(world):
    name = world.instance["id"]
    check("delete" in world.instance["allowed_actions"], "a running instance does not offer delete")
    order = world.api("POST", world.path("instances"), world.order(), Idempotency_Key=str(uuid.uuid4())).json
    problem = world.api("DELETE", world.path(f"instances/{order['resource']['id']}"), Idempotency_Key=str(uuid.uuid4()))
    check(problem.status == 409 and problem.code in ("action-not-allowed", "job-active"), f"deleting while creating: {problem.status} {problem.code}")
    check("allowed_actions" in problem.json["params"] or "job_id" in problem.json["params"], "the refusal does not say what is allowed")
    world.wait_job(order["id"])
    gone = world.api("DELETE", world.path(f"instances/{order['resource']['id']}"), Idempotency_Key=str(uuid.uuid4()))
    check(world.wait_job(gone.json["id"])["state"] == "succeeded", "delete failed")
    check(world.api("GET", world.path(f"instances/{name}")).status == 200, "the other instance is gone too")


@row("B4")
def failed_creations(world):
    """A broker whose JVM cannot start: an order for a version whose files are hidden for a while."""
    libraries = Path(os.environ["SLUICE_TOOLS"]) / "kafka" / "3.9.2" / "libs"
    hidden = libraries.with_name("libs.hidden")
    libraries.rename(hidden)
    try:
        order = world.order(kafka_version="3.9.2")
        job = world.api("POST", world.path("instances"), order, Idempotency_Key=str(uuid.uuid4())).json
        ended = world.wait_job(job["id"], 240)
    finally:
        hidden.rename(libraries)
    check(ended["state"] == "failed" and ended["problem"]["detail"], f"the order ended {ended['state']}")
    instance = ended["resource"]["id"]
    listed = world.api("GET", world.path("failed-creations?count=exact")).json
    check(any(f["id"] == instance and f["cause"] for f in listed["items"]) and listed["total"] >= 1, "it is not in the failed list with its cause")
    check(not list(world.home.glob(f"nodes/{instance}*")), "a directory is left")
    check(run("pgrep", "-f", instance, ok=False).returncode == 1, "a process is left")
    check(world.api("GET", world.path(f"instances?name={order['name']}")).json["items"] == [], "it still shows among the instances")
    check(world.api("DELETE", world.path(f"failed-creations/{instance}"), Idempotency_Key=str(uuid.uuid4())).status in (200, 204), "it could not be removed")
    return ended["problem"]["code"]


@row("B10")
def delete(world):
    answer = world.api("POST", world.path("instances"), world.order(), Idempotency_Key=str(uuid.uuid4()))
    job = world.wait_job(answer.json["id"])
    check(job["state"] == "succeeded", f"the order ended {job['state']}: {job['problem']}")
    instance = job["resource"]["id"]
    etag = world.api("GET", world.path(f"instances/{instance}")).headers["ETag"]
    world.api("PATCH", world.path(f"instances/{instance}"), {"deletion_protection": True}, If_Match=etag)
    refused(world.api("DELETE", world.path(f"instances/{instance}"), Idempotency_Key=str(uuid.uuid4())), 409, "protected-from-deletion")
    world.api("PATCH", world.path(f"instances/{instance}"), {"deletion_protection": False})
    began = time.monotonic()
    gone = world.wait_job(world.api("DELETE", world.path(f"instances/{instance}"), Idempotency_Key=str(uuid.uuid4())).json["id"])
    check(gone["state"] == "succeeded", f"delete ended {gone['state']}")
    took = time.monotonic() - began
    check(world.api("GET", world.path(f"instances/{instance}")).status == 404, "it can still be read")
    check(not list(world.home.glob(f"nodes/{instance}*")), "a directory is left")
    check(run("pgrep", "-f", instance, ok=False).returncode == 1, "a process is left")
    return f"gone in {took:.1f} s; recycle bin not yet"


@row("C1")
def jobs(world):
    world.instance
    job = world.creation
    check(all(s["started_at"] and s["ended_at"] for s in job["steps"]), "a step lacks its times")
    check(job["progress_percent"] == 100, "not at 100 %")
    listed = world.api("GET", world.path(f"jobs?kind=instance-create&state=succeeded&instance={world.instance['id']}")).json["items"]
    check([j["id"] for j in listed] == [job["id"]], "the filters do not find it")
    request = urllib.request.Request(world.url + world.path(f"jobs/{job['id']}/events"), headers={"Authorization": f"Bearer {world.api.token}", "Accept": "text/event-stream"})
    with urllib.request.urlopen(request, timeout=20) as stream:
        lines = []
        for line in stream:
            lines.append(line.decode())
            if '"event":"ended"' in lines[-1].replace(" ", ""):
                break
    check(sum("step-succeeded" in line for line in lines if line.startswith("data:")) >= len(job["steps"]), "events are missing")
    return f"{len(job['steps'])} steps"


@row("C2")
def jobs_survive(world):
    """kill -9 of the control plane during an order; what is started again finishes it. Clients of another instance notice nothing."""
    topic, denied = f"alone-{world.tag}", f"denied-{world.tag}"
    for one in (topic, denied):
        world.make_topic(one)
    denial = ("--principal", f"User:{world.user}", "--name", denied, "--operation", "write")
    world.sluice("acl", "add", world.instance["name"], *denial, "--deny")
    answer = world.api("POST", world.path("instances"), world.order(), Idempotency_Key=str(uuid.uuid4()))
    world.wait_step(answer.json["id"], "wait-ready")
    with producers(world, topic, ["private_sasl_ssl"]) as written:
        guests = [PlainClient.log_in(host, world.ca, world.user, world.password) for host in world.hosts]
        try:
            world.end_control_plane(signal.SIGKILL)
            everything_but_changes(world, topic, denied)
        finally:
            # The rows behind this one need it.
            back = world.up()
        check([guest.ask(18, 0, b"") for guest in guests] == [0] * len(guests), "a connection ended with the control plane")
    stored = world.kcat("-C", "-t", topic, "-e", "-q").stdout.splitlines()
    check(len(stored) == written[0] + 1, f"{written[0]} and one more messages were written, {len(stored)} are there")
    world.sluice("acl", "remove", world.instance["name"], *denial, "--yes")
    job = world.wait_job(answer.json["id"], 240)
    check(job["state"] == "succeeded", f"the order ended {job['state']}: {job['problem']}")
    check(sum(entry.is_dir() for entry in (world.home / "nodes" / job["resource"]["id"]).iterdir()) == 3, "not exactly three node directories")
    gone = world.api("DELETE", world.path(f"instances/{job['resource']['id']}"), Idempotency_Key=str(uuid.uuid4()))
    world.wait_job(gone.json["id"])
    return f"back in {back:.1f} s, the order finished; without it Kafka served, refused and counted as ever"


def everything_but_changes(world, topic, denied):
    """Logins, records, rights and the partition total, while there is no control plane."""
    gone = lambda: run("curl", "-s", "-m", "2", world.url + "/healthz", ok=False).returncode != 0
    check(gone(), "somebody still answers by REST")
    for host in world.hosts:
        check(PlainClient.log_in(host, world.ca, world.user, world.password), f"{host}: no login by PLAIN")
        check(PlainClient.scram(host, world.ca, world.user, world.password), f"{host}: no login by SCRAM")
        check(not PlainClient.log_in(host, world.ca, world.user, "Wrong-pass-1"), f"{host}: a wrong password was accepted")
    world.kcat("-P", "-t", topic, "-X", "acks=all", stdin=b"alone\n", tls="PLAIN")
    check(b"alone" in world.kcat("-C", "-t", topic, "-e", "-q", tls="PLAIN").stdout, "what was written cannot be read")
    refused_it = world.kcat("-P", "-t", denied, "-X", "acks=all", stdin=b"no\n", tls="PLAIN", ok=False)
    check(b"authorization failed" in refused_it.stderr.lower(), f"a denial does not hold: {refused_it.stderr[-300:]}")
    topics = RawTopics(world.hosts[0])
    created = lambda name, partitions: eventually("an answer that counts", lambda: (error := topics.create(name, partitions)) not in PASSING and (error,))[0]
    check(created(f"{topic}-one", 1) == 0, f"a topic that fits was refused: {topics.message}")
    check(created(f"{topic}-many", 10_000) == POLICY_VIOLATION, "more partitions than were bought were not refused as such")
    check(topics.delete(f"{topic}-one") == 0, "a topic cannot be deleted")
    topics.close()
    check(gone(), "the control plane was back too early to prove anything")


@row("D9")
def guide(world):
    for client in ("java", "python", "go", "node", "rust", "kcat"):
        out = world.sluice("instance", "snippet", world.instance["name"], client).stdout
        check(world.instance["bootstrap"]["private_sasl_ssl"].split(",")[0].encode() in out, f"{client}: no address of this instance")
    return "6 languages; `scripts/snippets` runs each"


@row("G5")
def command_line(world):
    name = f"cli-{world.tag}"
    world.sluice("instance", "create", name, "--spec", "100", "--zones", "local-1a,local-1b,local-1c", "--storage", "600", "--disk", "high", "--yes", "--wait")
    check(name in world.sluice("instance", "list").stdout.decode(), "the list lacks it")
    check(world.sluice("instance", "get", "no-such-instance", ok=False).returncode == 3, "not found is not exit code 3")
    check(world.sluice("instance", "create", "bad", "--spec", "100", "--zones", "local-1a,local-1b", "--storage", "1", "--disk", "ssd", "--yes", ok=False).returncode == 4, "a refusal is not exit code 4")
    world.sluice("instance", "delete", name, "--yes", "--wait")
    return "command line; SDK, Terraform not yet"


@row("H1")
def one_machine(world):
    check(world.anonymous("GET", "/readyz").status == 200, "not ready")
    nodes = run("pgrep", "-f", f"sluice-node.*{world.instance['id']}", ok=False).stdout.split()
    again = world.up()
    check(run("pgrep", "-f", f"sluice-node.*{world.instance['id']}", ok=False).stdout.split() == nodes, "brokers were not left alone")
    return f"`make up` again: {again:.1f} s"
