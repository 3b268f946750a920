"""A check a row of the feature list: what its sentence says, watched from outside. Returns a figure or nothing."""

import base64
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import bought
import certificates as certificates_live
import groups
import paths
import quotas
from sluice import Api, PlainClient, check, run

CHECKS = {}


def row(identifier):
    def register(function):
        CHECKS[identifier] = function
        return function
    return register


def refused(answer, status, code):
    check(answer.status == status and answer.code == code, f"expected {status} {code}, got {answer.status} {answer.code}")
    return answer.json


@row("A1")
def catalogue(world):
    specs = {s["name"]: s for s in world.api("GET", "/v1/specs").json["items"]}
    want = {"kafka.100": (3, 300, 3000, 60, "1300.00", "2.71"), "kafka.300": (3, 900, 10000, 300, "2100.00", "4.38"),
            "kafka.600": (4, 1800, 20000, 600, "4005.00", "8.34"), "kafka.1200": (8, 1800, 20000, 600, "7270.00", "15.15")}
    for name, figures in want.items():
        s = specs.get(name) or {}
        seen = tuple(s.get(k) for k in ("brokers", "partitions", "client_connections", "consumer_groups", "price_per_month", "price_per_hour"))
        check(seen == figures, f"{name}: {seen} is not {figures}")
    for kind in ("regions", "zones", "disk-types", "kafka-versions"):
        check(world.api("GET", f"/v1/{kind}").json["items"], f"/v1/{kind} is empty")
    name = f"kafka.{uuid.uuid4().int % 10**6}"
    new = {k: v for k, v in specs["kafka.100"].items() if k != "name"}
    put = world.api("PUT", f"/operator/v1/specs/{name}", new)
    check(put.status in (200, 201), f"an operator could not add a spec: {put.status} {put.body[:200]}")
    check(name in world.sluice("catalog", "specs").stdout.decode(), "the new spec is not in the catalogue")
    check(world.api("PUT", f"/operator/v1/specs/{name}", {**new, "available": False}).status == 200, "a spec could not be retired")
    listed = [s["name"] for s in world.api("GET", "/v1/specs").json["items"] if s["available"]]
    check(name not in listed, "the retired spec is still offered")
    return f"{len(want)} specs"


@row("A3")
def quote(world):
    body = {"spec": "kafka.100", "storage_gb": 600, "disk_type": "high"}
    answer = world.api("POST", world.path("quotes"), body)
    check(answer.status == 201, f"a quote answered {answer.status}: {answer.body[:200]}")
    # 2.71 + 600 × 0.0013
    check(answer.json["total"] == {"amount": "3.49", "currency": "CNY"}, f"total {answer.json['total']}")
    year = world.api("POST", world.path("quotes"), {**body, "billing": "prepaid", "months": 12}).json
    check(any(line["discount_percent"] > 0 for line in year["lines"]), "no discount for a year")
    other = world.order(quote_id=answer.json["id"], storage_gb=700)
    refused(world.api("POST", world.path("instances"), other, Idempotency_Key=str(uuid.uuid4())), 409, "price-moved")
    return "3.49 CNY/h for 100 MB/s, 600 GB"


@row("A5")
def tenancy(world):
    email = f"viewer-{world.tag}@example.com"
    password = "A-long-passphrase-1"
    member = world.api("POST", world.path("members"), {"email": email, "role": "viewer", "password": password}, Idempotency_Key=str(uuid.uuid4()))
    check(member.status in (200, 201), f"a member could not be added: {member.status} {member.body[:200]}")
    viewer, _ = world.anonymous.sign_in(email, password)
    check(viewer("GET", world.path("instances")).status == 200, "a viewer cannot list")
    problem = refused(viewer("POST", world.path("instances"), world.order(), Idempotency_Key=str(uuid.uuid4())), 403, "forbidden")
    check(problem["params"].get("right"), "the refusal does not name the right")
    private = world.api("POST", "/v1/projects", {"name": f"private-{world.tag}"}, Idempotency_Key=str(uuid.uuid4())).json["id"]
    hidden, missing = viewer("GET", f"/v1/projects/{private}"), viewer("GET", "/v1/projects/prj_01jd9mz5w8e4wahj8k6t3v2q7r")
    refused(hidden, 404, "not-found")
    same = lambda a: {k: v for k, v in a.json.items() if k not in ("instance", "request_id")}
    check(same(hidden) == same(missing), "a hidden project can be told from a missing one")
    world.api("DELETE", f"/v1/projects/{private}", Idempotency_Key=str(uuid.uuid4()))


@row("A6")
def sign_in(world):
    api, tokens = world.anonymous.sign_in(world.credentials["email"], world.credentials["password"])
    spent = tokens["refresh_token"]
    refresh = lambda token: world.anonymous("POST", "/v1/auth/token", {"grant_type": "refresh-token", "refresh_token": token})
    second = refresh(spent)
    check(second.status == 200, f"refresh answered {second.status}")
    check(refresh(spent).status == 401, "a spent refresh token was taken")
    check(refresh(second.json["refresh_token"]).status == 401, "the session outlived the reuse of a spent token")
    check(api("GET", "/v1/me").status == 401, "the access token outlived its session")
    check(world.anonymous("POST", "/v1/auth/token", {"grant_type": "password", "email": world.credentials["email"], "password": "wrong"}).status == 401, "a wrong password was taken")
    account = world.api("POST", world.path("service-accounts"), {"name": f"ci-{world.tag}", "role": "viewer"}, Idempotency_Key=str(uuid.uuid4())).json["id"]
    keys = [world.api("POST", world.path(f"service-accounts/{account}/keys"), {}, Idempotency_Key=str(uuid.uuid4())).json for _ in range(2)]
    for key in keys:
        check(Api(world.url, key["secret"])("GET", world.path("instances")).status == 200, "an API key does not work")
    check(world.api("DELETE", world.path(f"service-accounts/{account}/keys/{keys[0]['id']}"), Idempotency_Key=str(uuid.uuid4())).status in (200, 204), "a key could not be revoked")
    check(Api(world.url, keys[0]["secret"])("GET", world.path("instances")).status == 401, "a revoked key still works")
    check(Api(world.url, keys[1]["secret"])("GET", world.path("instances")).status == 200, "the other key died with it")
    world.api("DELETE", world.path(f"service-accounts/{account}"), Idempotency_Key=str(uuid.uuid4()))
    return "password, JWT, API keys; single sign-on not yet"


@row("A8")
def audit(world):
    name = f"audited-{world.tag}"
    made = world.api("POST", "/v1/projects", {"name": name}, Idempotency_Key=str(uuid.uuid4()))
    events = world.api("GET", "/v1/audit-events").json["items"]
    check(any(e["action"] == "create_project" and e["source_ip"] and e["request_id"] == made.headers["X-Request-Id"] for e in events), "the write is not in the trail")
    check(world.api("DELETE", f"/v1/projects/{made.json['id']}/audit-events").status in (404, 405), "the trail can be deleted")
    world.api("DELETE", f"/v1/projects/{made.json['id']}", Idempotency_Key=str(uuid.uuid4()))


@row("A10")
def idempotency(world):
    key, order = str(uuid.uuid4()), {"name": f"once-{world.tag}"}
    first = world.api("POST", "/v1/projects", order, Idempotency_Key=key)
    again = world.api("POST", "/v1/projects", order, Idempotency_Key=key)
    check((again.status, again.body) == (first.status, first.body) and again.headers["Idempotency-Replayed"] == "true", "a repeat did not replay the first answer")
    refused(world.api("POST", "/v1/projects", {"name": "other-name"}, Idempotency_Key=key), 422, "idempotency-mismatch")
    world.api("DELETE", f"/v1/projects/{first.json['id']}", Idempotency_Key=str(uuid.uuid4()))


@row("B1")
def buy(world):
    instance = world.instance
    check(instance["state"] == "running" and len(instance["brokers"]) == 3, f"{instance['state']}, {len(instance['brokers'])} brokers")
    topic = f"orders-{world.tag}"
    make_topic(world, topic)
    world.kcat("-P", "-t", topic, "-X", "acks=all", stdin=b"hello\n", tls="PLAIN")
    out = world.kcat("-C", "-t", topic, "-e", "-q", tls="PLAIN").stdout
    check(out == b"hello\n", f"read back {out!r}")
    return f"ready in {world.bought_in:.1f} s"


def topic_command(world, bootstrap, *arguments, ok=True, java=()):
    """Kafka's own tool, as a tenant has it."""
    libraries = Path(os.environ["SLUICE_TOOLS"]) / "kafka" / world.instance["kafka_version"] / "libs"
    return run("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", *java, "-cp", f"{libraries}/*", "org.apache.kafka.tools.TopicCommand",
               "--bootstrap-server", world.instance["bootstrap"][bootstrap], *arguments, ok=ok)


def config_command(world, *arguments):
    libraries = Path(os.environ["SLUICE_TOOLS"]) / "kafka" / world.instance["kafka_version"] / "libs"
    return run("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{libraries}/*", "kafka.admin.ConfigCommand",
               "--bootstrap-server", world.instance["bootstrap"]["private_plaintext"], *arguments, ok=False)


def make_topic(world, name, partitions=3):
    topic_command(world, "private_plaintext", "--create", "--if-not-exists", "--topic", name, "--partitions", partitions)


@row("B2")
def zones(world):
    problem = refused(world.api("POST", world.path("instances"), world.order(zones=["local-1a", "local-1b"]), Idempotency_Key=str(uuid.uuid4())), 422, "validation-failed")
    check([e["pointer"] for e in problem["errors"]] == ["/zones"], f"errors {problem['errors']}")
    check(len({b["zone"] for b in world.instance["brokers"]}) == 3, "the brokers are not over three zones")
    listing = json.loads(world.kcat("-L", "-J").stdout)
    topic = f"zoned-{world.tag}"
    make_topic(world, topic)
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
    """kill -9 of the control plane during an order; what is started again finishes it."""
    pid_file = world.home / "run" / "control-plane.pid"
    answer = world.api("POST", world.path("instances"), world.order(), Idempotency_Key=str(uuid.uuid4()))
    world.wait_step(answer.json["id"], "wait-ready")
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    began = time.monotonic()
    subprocess.run([Path(__file__).resolve().parents[3] / "scripts" / "up"], env={**os.environ, "DETACH": "1"}, check=True, capture_output=True, timeout=300)
    back = time.monotonic() - began
    job = world.wait_job(answer.json["id"], 240)
    check(job["state"] == "succeeded", f"the order ended {job['state']}: {job['problem']}")
    check(sum(entry.is_dir() for entry in (world.home / "nodes" / job["resource"]["id"]).iterdir()) == 3, "not exactly three node directories")
    gone = world.api("DELETE", world.path(f"instances/{job['resource']['id']}"), Idempotency_Key=str(uuid.uuid4()))
    world.wait_job(gone.json["id"])
    return f"back in {back:.1f} s, the order finished"


@row("D1")
def ports(world):
    """Every port by a real client: what it is told, and a message there and back."""
    name = world.instance["name"]
    paths.open_all(world)
    try:
        bootstrap = world.api("GET", world.path(f"instances/{name}")).json["bootstrap"]
        topic = f"ports-{world.tag}"
        make_topic(world, topic)
        for key, port, tls in (("private_plaintext", 9092, None), ("private_sasl_ssl", 9093, "PLAIN"), ("public_plaintext", 9094, None),
                               ("public_sasl_ssl", 9095, "PLAIN"), ("cross_network", 9011, "PLAIN")):
            addresses = bootstrap[key].split(",")
            check(len(set(addresses)) == 3 and all(a.endswith(f":{port}") for a in addresses), f"{key}: {addresses}")
            client = lambda *arguments, **options: world.kcat(*arguments, tls=tls, bootstrap=bootstrap[key], **options).stdout
            told = sorted(broker["name"] for broker in json.loads(client("-L", "-J"))["brokers"])
            check(told == sorted(addresses), f"a client on {port} got {told}")
            client("-P", "-t", topic, "-X", "acks=all", stdin=f"by {port}\n".encode())
            check(f"by {port}".encode() in client("-C", "-t", topic, "-e", "-q"), f"what was written by {port} cannot be read there")
        shown = world.sluice("instance", "connect", name).stdout.decode()
        check(all(bootstrap[key] in shown for key in ("public_sasl_ssl", "public_plaintext", "cross_network")), "the command line does not tell")
    finally:
        paths.close_all(world)
    return "9092, 9093, 9094, 9095, 9011"


@row("D2")
def switches(world):
    """Ports and addresses, on and off under clients that must not notice."""
    name = world.instance["name"]
    brokers = [address.rsplit(":", 1)[0] for address in world.instance["bootstrap"]["private_sasl_ssl"].split(",")]
    processes = run("pgrep", "-f", f"kafka.Kafka.*{world.instance['id']}", ok=False).stdout
    bystanders = [PlainClient.log_in(broker, world.ca, world.user, world.password) for broker in brokers]
    beat = lambda: [client.ask(18, 0, b"") for client in bystanders]
    waits = []

    def until(what, options, done):
        began = time.monotonic()
        access = world.api("PATCH", world.path(f"instances/{name}/access"), options, Idempotency_Key=str(uuid.uuid4()))
        check(access.status == 202, f"{what} answered {access.status} {access.code}")
        while True:
            tried = time.monotonic()
            check(tried - began < 10, f"{what}: not in force after 10 s")
            if done():
                break
            check(beat() == [0] * len(bystanders), f"{what}: connections of the other ways in were harmed")
        waits.append(tried - began)
        check(world.wait_job(access.json["id"])["state"] == "succeeded", f"the job of {what} failed")

    for _ in range(3):
        open_ones = [PlainClient.anonymous(broker) for broker in brokers]
        check(all(open_ones), "9092 is not open")
        until("plaintext off", {"private_plaintext": False},
              lambda: all(client.closed() for client in open_ones) and not any(PlainClient.anonymous(broker) for broker in brokers))
        until("plaintext on", {"private_plaintext": True}, lambda: all(PlainClient.anonymous(broker) for broker in brokers))
    guest = "127.0.0.77"
    known = [PlainClient.anonymous(broker, source=guest) for broker in brokers]
    check(all(known), "another address cannot connect")
    until("an address denied", {"deny_ips": [guest]},
          lambda: all(client.closed() for client in known) and not any(PlainClient.anonymous(broker, source=guest) for broker in brokers))
    check(all(PlainClient.anonymous(broker) for broker in brokers), "an address that is not denied was refused")
    until("the address allowed again", {"deny_ips": None}, lambda: all(PlainClient.anonymous(broker, source=guest) for broker in brokers))

    # Public access, under connections and producers of both private ports.
    bystanders += [PlainClient.anonymous(broker) for broker in brokers]
    topic = f"switches-{world.tag}"
    make_topic(world, topic)
    with paths.producers(world, topic) as written:
        for _ in range(3):
            until("public access on", {"public_plaintext": True, "public_sasl_ssl": True}, lambda: paths.public_is_open(world))
            hosts = paths.public_hosts(world)
            open_ones = [PlainClient.anonymous(host, 9094) for host in hosts]
            open_ones += [PlainClient.log_in(host, world.ca, world.user, world.password, 9095) for host in hosts]
            until("public access off", {"public_plaintext": None, "public_sasl_ssl": None},
                  lambda: all(client.closed() for client in open_ones) and not any(PlainClient.anonymous(host, port) for host in hosts for port in (9094, 9095)))
            check(paths.public_hosts(world) == [], "public addresses are kept that no port uses")
    check(all(count > 50 for count in written), f"producers wrote {written} messages, too few to prove anything")
    stored = world.kcat("-C", "-t", topic, "-e", "-q").stdout.count(b"\n")
    check(stored == sum(written), f"{sum(written)} messages were written, {stored} are there")

    every = {"private_plaintext": False, "private_sasl_ssl": False}
    both = world.api("PATCH", world.path(f"instances/{name}/access"), every, Idempotency_Key=str(uuid.uuid4()))
    check(both.status == 422, f"closing every way in answered {both.status}")
    check("on" in world.sluice("access", "get", name).stdout.decode(), "the command line does not tell")
    check(beat() == [0] * len(bystanders), "connections of the other ways in were harmed")
    check(max(waits) < 2, f"it took {max(waits):.2f} s")
    check(run("pgrep", "-f", f"kafka.Kafka.*{world.instance['id']}", ok=False).stdout == processes, "a broker restarted")
    return f"9092, 9093, public access, addresses: in force on every broker within {max(waits):.2f} s"


@row("D8")
def across_networks(world):
    """Endpoints in another network stand for brokers; only those of accounts on the list get through."""
    name, account = world.instance["name"], world.project
    brokers = [address.rsplit(":", 1)[0] for address in world.instance["bootstrap"]["private_sasl_ssl"].split(",")]
    ids = [broker["id"] for broker in world.instance["brokers"]]
    topic = f"across-{world.tag}"
    make_topic(world, topic)
    with paths.endpoints(brokers, source="127.0.90.200") as told:
        world.sluice("access", "endpoint", "tell", name, *(f"{broker}={address}" for broker, address in zip(ids, told)), "--wait")
        world.sluice("access", "endpoint", "allow", name, account, "--from", "127.0.90.200", "--wait")
        world.sluice("access", "set", name, "--cross-network", "on", "--wait")
        try:
            bootstrap = world.api("GET", world.path(f"instances/{name}")).json["bootstrap"]["cross_network"]
            check(bootstrap == ",".join(told), f"clients are told to begin with {bootstrap}")
            client = lambda *arguments, **options: world.kcat(*arguments, tls="PLAIN", bootstrap=bootstrap, **options).stdout
            seen = sorted(broker["name"] for broker in json.loads(client("-L", "-J"))["brokers"])
            check(seen == sorted(told), f"a client of an endpoint got {seen}")
            client("-P", "-t", topic, "-X", "acks=all", stdin=b"hello\n")
            check(client("-C", "-t", topic, "-e", "-q") == b"hello\n", "the message did not come back through the endpoints")
            check(not any(paths.gets_in(world, broker, 9011) for broker in brokers), "9011 let somebody in who comes from no endpoint")

            log_in = lambda address: PlainClient.log_in(address.rsplit(":", 1)[0], world.ca, world.user, world.password, int(address.rsplit(":", 1)[1]))
            inside = [log_in(address) for address in told]
            bystanders = [PlainClient.log_in(broker, world.ca, world.user, world.password) for broker in brokers]
            began = time.monotonic()
            world.api("PATCH", world.path(f"instances/{name}/access"), {"endpoint_accounts": None}, Idempotency_Key=str(uuid.uuid4()))
            while not all(client.closed() for client in inside):
                check(time.monotonic() - began < 10, "connections of an account that left the list go on")
            took = time.monotonic() - began
            check(took < 2, f"connections of an account that left the list ended after {took:.2f} s")
            check([client.ask(18, 0, b"") for client in bystanders] == [0] * len(brokers), "connections by 9093 were harmed")
        finally:
            paths.close_all(world)
    check("off" in next(line for line in world.sluice("access", "get", name).stdout.decode().splitlines() if "9011" in line), "9011 is still on")
    return f"addresses of endpoints, allow-list in force within {took:.2f} s"


@row("D3")
def certificates(world):
    host, port = world.instance["bootstrap"]["private_sasl_ssl"].split(",")[0].rsplit(":", 1)
    for version in ("-tls1_2", "-tls1_3"):
        out = run("openssl", "s_client", "-connect", f"{host}:{port}", version, "-CAfile", world.ca, "-verify_return_error", "-verify_ip", host, stdin=b"")
        check(b"Verify return code: 0" in out.stdout, f"{version}: not verified")
    for kind in ("p12", "jks"):
        store = world.files / f"truststore.{kind}"
        world.sluice("cert", "truststore", world.instance["name"], "--format", kind, "--out", store, "--force")
        listing = run("keytool", "-list", "-keystore", store, "-storepass", "dms@kafka").stdout
        check(b"trustedCertEntry" in listing, f"keytool does not trust {kind}: {listing[-200:]}")
    topic = f"certificates-{world.tag}"
    make_topic(world, topic, 6)
    took = certificates_live.change_live(world, topic)
    return f"issued, renewed, uploaded as keystore, rotated under acks=all producers: on every broker within {took:.2f} s, none dropped"


@row("D4")
def mechanisms(world):
    """By Java: the librdkafka of Debian 12 has a fault in SCRAM that Kafka 4 refuses, gateway or not."""
    world.instance
    properties = world.files / "client.properties"

    def sign_in(mechanism, password, user):
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        properties.write_text(
            f"security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\nssl.truststore.type=PEM\nssl.truststore.location={world.ca}\n"
            f'sasl.jaas.config=org.apache.kafka.common.security.{module} required username="{user}" password="{password}";\n')
        return topic_command(world, "private_sasl_ssl", "--list", "--command-config", properties, ok=False)

    for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        good = sign_in(mechanism, world.password, world.user)
        check(good.returncode == 0, f"{mechanism}: {good.stderr.decode()[-300:]}")
    wrong = sign_in("SCRAM-SHA-512", "Wrong-pass-1", world.user)
    check(wrong.returncode != 0 and b"SaslAuthenticationException" in wrong.stdout + wrong.stderr, "a wrong password was not refused as such")
    tokens_log_in(world, properties)
    took = users_change_live(world, lambda user, password: sign_in("SCRAM-SHA-512", password, user).returncode == 0)
    return f"PLAIN, SCRAM; users refused and their connections closed on every broker within {took:.2f} s; OAUTHBEARER; mTLS not yet"


def tokens_log_in(world, properties):
    """Tokens of an issuer that the instance trusts, shown by Java's own OAUTHBEARER."""
    name, key, token, keys = world.instance["name"], world.files / "issuer.pem", world.files / "token.jwt", world.files / "keys.json"
    encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    run("openssl", "genrsa", "-out", key, "2048")
    modulus = run("openssl", "rsa", "-in", key, "-noout", "-modulus").stdout.decode().strip().partition("=")[2]
    keys.write_text(json.dumps({"keys": [{"kty": "RSA", "alg": "RS256", "kid": "1", "n": encode(bytes.fromhex(modulus)), "e": "AQAB"}]}))
    handler = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLogin"
    properties.write_text(
        f"security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nssl.truststore.type=PEM\nssl.truststore.location={world.ca}\n"
        f"sasl.login.callback.handler.class={handler}CallbackHandler\nsasl.oauthbearer.token.endpoint.url=file://{token}\n"
        f"sasl.jaas.config={handler}Module required;\n")

    def sign_in(**claims):
        claims = {"iss": "https://login.acme.example", "aud": "kafka", "sub": "alice", "iat": int(time.time()), "exp": int(time.time()) + 300, **claims}
        signed = f"{encode(json.dumps({'alg': 'RS256', 'kid': '1'}).encode())}.{encode(json.dumps(claims).encode())}"
        signature = run("openssl", "dgst", "-sha256", "-sign", key, stdin=signed.encode()).stdout
        token.write_text(f"{signed}.{encode(signature)}")
        return topic_command(world, "private_sasl_ssl", "--list", "--command-config", properties, ok=False,
                             java=[f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{token}"])

    check(sign_in().returncode != 0, "a token was accepted before anybody trusted its issuer")
    world.sluice("access", "tokens", "trust", name, "--issuer", "https://login.acme.example", "--audience", "kafka", "--keys", keys)
    good = sign_in()
    check(good.returncode == 0, f"OAUTHBEARER: {good.stderr.decode()[-300:]}")
    for what, claims in {"another audience": {"aud": "web"}, "an old token": {"iat": 1, "exp": int(time.time()) - 60}, "a platform name": {"sub": "sluice-node"}}.items():
        bad = sign_in(**claims)
        check(bad.returncode != 0 and b"SaslAuthenticationException" in bad.stdout + bad.stderr, f"{what} was not refused as such: {bad.stderr.decode()[-200:]}")
    world.sluice("access", "tokens", "clear", name)
    check(sign_in().returncode != 0, "a token was accepted after trust was withdrawn")


def users_change_live(world, java_gets_in):
    """A user's life; the longest time until it is refused everywhere and its open connections have ended."""
    name, user = world.instance["name"], f"live-{world.tag}"
    brokers = [address.rsplit(":", 1)[0] for address in world.instance["bootstrap"]["private_sasl_ssl"].split(",")]
    processes = run("pgrep", "-f", f"kafka.Kafka.*{world.instance['id']}", ok=False).stdout
    connect = lambda password: [PlainClient.log_in(broker, world.ca, user, password) for broker in brokers]
    waits = []

    def until_refused(what, password, method, path="", body=None):
        opened = connect(password)
        check(all(opened), f"before {what} the user was refused")
        began = time.monotonic()
        answer = world.api(method, world.path(f"instances/{name}/users/{user}{path}"), body, Idempotency_Key=str(uuid.uuid4()))
        check(answer.status == 202, f"{what} answered {answer.status} {answer.code}")
        while True:
            # Kafka answers a refused login late on purpose: what counts is when it was tried.
            ended, tried = all(client.closed() for client in opened), time.monotonic()
            if ended and not any(connect(password)):
                break
            check(tried - began < 10, f"{what}: still let in, or still connected, after 10 s")
        waits.append(tried - began)
        check(world.wait_job(answer.json["id"])["state"] == "succeeded", f"the job of {what} failed")

    first = world.sluice_json("user", "create", name, user)["secrets"]["password"]
    check(java_gets_in(user, first), "a new user cannot log in")
    until_refused("disabling", first, "PATCH", body={"disabled": True})
    check(not java_gets_in(user, first), "a disabled user got in")
    world.sluice("user", "enable", name, user)
    check(java_gets_in(user, first), "an enabled user cannot log in with its password")
    second = "Kestrel-ridge-42"
    until_refused("the reset", first, "POST", "/reset-password", {"password": second})
    check(not java_gets_in(user, first) and java_gets_in(user, second), "the reset did not change the password")
    until_refused("the deletion", second, "DELETE")
    check(not java_gets_in(user, second), "a deleted user got in")
    check(user not in world.sluice("user", "list", name).stdout.decode(), "a deleted user is listed")
    check(max(waits) < 2, f"it took {max(waits):.2f} s")
    check(run("pgrep", "-f", f"kafka.Kafka.*{world.instance['id']}", ok=False).stdout == processes, "a broker restarted")
    return max(waits)


def said_hello(host, port):
    """A connection on which a broker answered ApiVersions; nothing when it was closed instead."""
    line = socket.create_connection((host, port), timeout=20)
    try:
        line.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
        if line.recv(4):
            return line
    except ConnectionError:
        pass
    line.close()


@row("D6")
def connection_limits(world):
    host, port = world.instance["bootstrap"]["private_plaintext"].split(",")[0].rsplit(":", 1)
    broker, lines = f"{host}:{port}", []
    listing = lambda: run("kcat", "-b", broker, "-L", "-m", "3", ok=False, timeout=30)
    path = world.path(f"instances/{world.instance['id']}/connections?count=exact&ip=127.0.0.1&broker_id={world.instance['brokers'][0]['id']}")
    eventually("connections of the rows before are gone", lambda: world.api("GET", path).json["total"] == 0)
    try:
        while len(lines) < 201 and (line := said_hello(host, int(port))):
            lines.append(line)
        check(len(lines) == 200, f"{len(lines)} connections of one address were served")
        check(listing().returncode != 0, "kcat was served beyond the limit")
        check(world.api("GET", path).json["total"] == 200, "the list does not count 200")
    finally:
        for line in lines:
            line.close()
    eventually("kcat is served again", lambda: listing().returncode == 0)
    return "200 for one IP on a broker; the instance's total, and raising it, not yet"


@row("D7")
def who_is_connected(world):
    """A consumer that stays, found by its user and ended."""
    topic, name = f"watched-{world.tag}", f"watcher-{world.tag}"
    make_topic(world, topic)
    path = world.path(f"instances/{world.instance['id']}/connections?client_id={name}&user={world.user}")
    listed = lambda: world.api("GET", path).json["items"]
    options = ["security.protocol=sasl_ssl", "sasl.mechanisms=PLAIN", f"sasl.username={world.user}", f"sasl.password={world.password}",
               f"ssl.ca.location={world.ca}", f"client.id={name}"]
    consumer = subprocess.Popen(["kcat", "-b", world.instance["bootstrap"]["private_sasl_ssl"], "-C", "-t", topic, "-q",
                                 *(part for option in options for part in ("-X", option))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually("the consumer is listed", listed)
        one = listed()[0]
        check(one["software_name"] == "librdkafka" and one["software_version"], f"its library is {one['software_name']} {one['software_version']}")
        check(one["ip"] == "127.0.0.1" and one["path"] == "private-sasl-ssl" and one["requests"] > 0 and one["bytes_out"] > 0, f"it shows {one}")
        check(one["id"] in world.sluice("connection", "list", world.instance["name"], "--user", world.user).stdout.decode(), "the command line does not list it")
        world.sluice("connection", "kick", world.instance["name"], one["id"], "--yes")
        eventually("it has ended", lambda: one["id"] not in [c["id"] for c in listed()])
        eventually("the client is back by itself", listed)
        check(consumer.poll() is None, "the client gave up")
    finally:
        consumer.kill()
        consumer.wait()
    return f"{one['software_name']} {one['software_version']} listed and kicked"


def eventually(what, reached, seconds=30):
    deadline = time.monotonic() + seconds
    while not reached():
        check(time.monotonic() < deadline, f"not in {seconds} s: {what}")
        time.sleep(0.2)


@row("D5")
def authorisation(world):
    """Rights, rules and both modes, seen by clients on each broker for itself; a change counts from when it is asked for."""
    name, tag = world.instance["name"], world.tag
    brokers = [address.rsplit(":", 1)[0] for address in world.instance["bootstrap"]["private_sasl_ssl"].split(",")]
    processes = run("pgrep", "-f", f"kafka.Kafka.*{world.instance['id']}", ok=False).stdout
    orders, bills = f"orders-{tag}", f"bills-{tag}"
    for topic in (orders, bills):
        make_topic(world, topic)
    leaders = {p["partition"]: p["leader"] for p in json.loads(world.kcat("-L", "-J", "-t", orders).stdout)["topics"][0]["partitions"]}
    check(len(set(leaders.values())) == len(brokers), f"not every broker leads a partition: {leaders}")
    seen = json.loads(world.kcat("-L", "-J").stdout)["brokers"]
    partition = {b["name"].rsplit(":", 1)[0]: next(p for p, leader in leaders.items() if leader == b["id"]) for b in seen}
    writer, reader, password = f"writer-{tag}", f"reader-{tag}", "Stork-lake-31"
    for user in (writer, reader):
        world.sluice("user", "create", name, user, "--password-stdin", stdin=password.encode())

    def client(broker, user, *arguments, stdin=None):
        """kcat with this broker alone to begin with; without a user on 9092. Whether it was let do what it asked."""
        options = ["-b", f"{broker}:{9093 if user else 9092}"]
        if user:
            options += ["-X", "security.protocol=sasl_ssl", "-X", "sasl.mechanisms=PLAIN", "-X", f"sasl.username={user}", "-X", f"sasl.password={password}",
                        "-X", f"ssl.ca.location={world.ca}", "-X", "ssl.endpoint.identification.algorithm=https"]
        done = run("kcat", *options, "-X", "message.timeout.ms=4000", *arguments, stdin=stdin, ok=False, timeout=30)
        said = done.stdout + done.stderr
        refused_it = b"authorization failed" in said.lower() or b"TOPIC_AUTHORIZATION_FAILED" in said
        check(refused_it or done.returncode == 0, f"kcat failed otherwise: {said.decode()[-300:]}")
        return not refused_it

    writes = lambda broker, user, topic=orders: client(broker, user, "-P", "-t", topic, "-p", partition[broker], stdin=b"here\n")
    reads = lambda broker, user, topic=orders: client(broker, user, "-C", "-t", topic, "-p", partition[broker], "-o", "beginning", "-e", "-q")

    def everywhere(attempt, *arguments):
        with ThreadPoolExecutor(len(brokers)) as pool:
            return list(pool.map(lambda broker: attempt(broker, *arguments), brokers))

    waits = []

    def until(what, wanted, change, attempt, *arguments):
        """Seconds from the request until the last broker does what is wanted; a probe counts from when it began."""
        began = time.monotonic()
        change()
        while True:
            tried = time.monotonic()
            if set(everywhere(attempt, *arguments)) == {wanted}:
                break
            check(tried - began < 10, f"{what}: not on every broker after 10 s")
        waits.append(tried - began)

    def ask(method, path, body=None):
        answer = world.api(method, world.path(f"instances/{name}/{path}"), body, Idempotency_Key=str(uuid.uuid4()))
        check(answer.status == 202, f"{method} {path} answered {answer.status} {answer.body[:300]}")
        return answer.json["id"]

    def change(method, path, body=None):
        # Asked, and not waited for: what clients see is what counts.
        jobs.append(ask(method, path, body))

    def settle():
        for job in jobs:
            ended = world.wait_job(job)
            check(ended["state"] == "succeeded", f"{ended['kind']} ended {ended['state']}: {ended['problem']}")
        jobs.clear()

    jobs = []
    properties = java_properties(world, world.user, world.password)
    live = LiveProducer(world, orders, properties)
    plan = world.sluice("access", "set", name, "--authorization", "acl", "--dry-run").stdout.decode()
    check(f"{writer} has no rights" in plan and "9092" in plan, f"the plan does not say who loses what: {plan}")
    world.sluice("user", "grant", name, writer, "--topic", "orders-*", "--produce")
    world.sluice("user", "grant", name, reader, "--topic", "orders-*", "--consume", "--group", "readers-*")
    world.sluice("user", "grant", name, world.user, "--topic", "*", "--manage", "--produce", "--consume", "--group", "*", "--transactional-id", "*")
    check(set(everywhere(writes, None)) == {True}, "before the switch somebody without a login cannot write")
    until("acl mode", False, lambda: change("PATCH", "access", {"authorization": "acl"}), writes, None)
    settle()
    check(set(everywhere(writes, writer)) == {True}, "who may produce cannot")
    check(set(everywhere(reads, writer)) == {False}, "who may produce can consume")
    check(set(everywhere(reads, reader)) == {True} and set(everywhere(writes, reader)) == {False}, "who may consume cannot, or can produce")
    check(set(everywhere(writes, writer, bills)) == {False}, "a prefix covers another topic")
    grouped = lambda group: world.kcat("-G", group, orders, "-e", "-q", "-X", "auto.offset.reset=earliest", tls="PLAIN", ok=False).returncode
    check(grouped(f"readers-{tag}") == 0, "the user with all rights cannot consume in a group")

    denial = {"resource_type": "topic", "resource_name": orders, "principal": f"User:{writer}", "operation": "write", "permission": "deny"}
    until("a denial", False, lambda: change("POST", "acls", {"bindings": [denial]}), writes, writer)
    settle()
    until("its removal", True, lambda: change("DELETE", f"acls?principal=User:{writer}&permission=deny"), writes, writer)
    settle()
    until("a revocation", False, lambda: change("DELETE", f"users/{writer}/rights?all=true"), writes, writer)
    settle()
    until("a grant", True, lambda: change("PUT", f"users/{writer}/rights", {"topic": "orders-*", "rights": ["produce"]}), writes, writer)
    settle()
    until("anonymous open", True, lambda: change("PATCH", "access", {"anonymous": "open"}), writes, None, bills)
    settle()
    check(set(everywhere(writes, writer, bills)) == {False}, "opening for clients without a login opened for users")

    by_kafka(world, properties)
    until("open mode", True, lambda: change("PATCH", "access", {"authorization": "open", "anonymous": None}), writes, writer, bills)
    settle()
    check(run("pgrep", "-f", f"kafka.Kafka.*{world.instance['id']}", ok=False).stdout == processes, "a broker restarted")
    sent = live.finish()
    kept = world.kcat("-C", "-t", orders, "-o", "beginning", "-e", "-q").stdout.split(b"\n")
    check(sum(line.startswith(b"live-") for line in kept) == sent, "a producer that kept its right lost a message")
    for user in (writer, reader):
        world.sluice("user", "revoke", name, user, "--all", "--yes")
        world.sluice("user", "delete", name, user, "--yes")
    world.sluice("user", "revoke", name, world.user, "--all", "--yes")
    check(max(waits) < 2, f"it took {max(waits):.2f} s: {waits}")
    return f"{len(waits)} changes, each in force on every broker within {max(waits):.2f} s; no broker restarted, a Java producer with rights wrote {sent} messages meanwhile"


class LiveProducer:
    """Java's console producer, which writes a line every 20 ms until it is told to finish."""

    def __init__(self, world, topic, properties):
        libraries = Path(os.environ["SLUICE_TOOLS"]) / "kafka" / world.instance["kafka_version"] / "libs"
        self.process = subprocess.Popen(
            ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{libraries}/*", "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server",
             world.instance["bootstrap"]["private_sasl_ssl"], "--topic", topic, "--producer.config", properties, "--request-required-acks", "all"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.sent, self.stop = 0, threading.Event()
        self.feeder = threading.Thread(target=self.feed, daemon=True)
        self.feeder.start()

    def feed(self):
        while not self.stop.wait(0.02):
            self.process.stdin.write(f"live-{self.sent}\n".encode())
            self.process.stdin.flush()
            self.sent += 1

    def finish(self):
        """How many lines were written, none of them with an error."""
        self.stop.set()
        self.feeder.join(10)
        said = self.process.communicate(timeout=60)[0].decode()
        check(self.process.returncode == 0 and "ERROR" not in said, f"the live producer failed: {said[-400:]}")
        return self.sent


def java_properties(world, user, password):
    """Settings of a Java client that logs in by SCRAM."""
    properties = world.files / f"{user}.properties"
    properties.write_text(
        f"security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\nssl.truststore.location={world.ca}\n"
        f'sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="{user}" password="{password}";\n')
    return properties


def by_kafka(world, properties):
    """The same rules by Kafka's own tool, as a user who may alter the cluster: what is hidden and refused by REST is so here."""
    name = world.instance["name"]
    libraries = Path(os.environ["SLUICE_TOOLS"]) / "kafka" / world.instance["kafka_version"] / "libs"
    tool = lambda *arguments: run("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{libraries}/*", ACL_COMMAND, "--bootstrap-server",
                                  world.instance["bootstrap"]["private_sasl_ssl"], "--command-config", properties, *arguments, ok=False)
    cluster = ("--principal", f"User:{world.user}", "--resource", "cluster", "--name", "kafka-cluster")
    world.sluice("acl", "add", name, *cluster, "--operation", "alter,describe")
    listed = tool("--list").stdout.decode()
    check(f"User:{world.user}" in listed, f"Kafka's tool does not see the rules: {listed[-300:]}")
    check("User:*" not in listed and "User:ANONYMOUS" not in listed and "sluice" not in listed, "Kafka's tool sees the platform's rules")
    made = tool("--add", "--allow-principal", "User:made-by-kafka", "--operation", "Read", "--topic", "odd")
    check(made.returncode == 0, f"Kafka's tool could not make a rule: {made.stderr.decode()[-300:]}")
    check("made-by-kafka" in world.sluice("acl", "list", name).stdout.decode(), "a rule that Kafka's tool made is not listed")
    hosted = tool("--add", "--allow-principal", "User:made-by-kafka", "--allow-host", "10.0.0.1", "--operation", "Read", "--topic", "odd")
    said = (hosted.stdout + hosted.stderr).decode()
    check("only the host '*' is accepted" in said, f"a host rule by Kafka's tool was not refused with the reason: {said[-300:]}")
    host = {"resource_type": "topic", "resource_name": "odd", "principal": "User:a", "operation": "read", "host": "10.0.0.1"}
    refused(world.api("POST", world.path(f"instances/{name}/acls"), {"bindings": [host]}), 422, "validation-failed")
    before = tool("--list").stdout
    tool("--remove", "--force", "--topic", "*", "--resource-pattern-type", "any")
    check("made-by-kafka" in before.decode(), "the rule is gone")
    world.sluice("acl", "remove", name, "--principal", "User:made-by-kafka", "--yes")
    world.sluice("acl", "remove", name, *cluster, "--yes")


ACL_COMMAND = "org.apache.kafka.tools.AclCommand"


@row("D9")
def guide(world):
    for client in ("java", "python", "go", "node", "rust", "kcat"):
        out = world.sluice("instance", "snippet", world.instance["name"], client).stdout
        check(world.instance["bootstrap"]["private_sasl_ssl"].split(",")[0].encode() in out, f"{client}: no address of this instance")
    return "6 languages; `scripts/snippets` runs each"


@row("E1")
def partition_total(world):
    """Java clients of all brokers at once around the limit: as many get in as fit, and the others are told why."""
    limit = world.instance["spec"]["partitions"]
    names = [f"limit-{world.tag}-{n}" for n in range(7)]
    create = lambda name, partitions, ok=True: topic_command(world, "private_plaintext", "--create", "--topic", name, "--partitions", partitions, ok=ok)
    told = lambda result, more: f"asks for {more} more" in (result.stdout + result.stderr).decode()

    def used():
        topics = json.loads(world.kcat("-L", "-J", tls=None).stdout)["topics"]
        return sum(len(t["partitions"]) for t in topics if not t["topic"].startswith("__"))

    try:
        create(names[0], limit - used() - 6)
        with ThreadPoolExecutor(4) as crowd:
            results = list(crowd.map(lambda name: create(name, 4, ok=False), names[1:5]))
        made = [name for name, result in zip(names[1:5], results) if result.returncode == 0]
        check(len(made) == 1, f"{len(made)} of 4 creations of 4 partitions got into room for 6")
        refusals = [result for result in results if result.returncode]
        check(all(told(result, 4) and b"PolicyViolationException" in result.stdout + result.stderr for result in refusals),
              f"a refusal says {refusals[0].stdout[-300:]}")
        grow = lambda partitions: topic_command(world, "private_plaintext", "--alter", "--topic", made[0], "--partitions", partitions, ok=False)
        check(told(grow(7), 3), "partitions were added beyond the limit")
        check(grow(6).returncode == 0 and used() == limit, f"the last room was refused: {used()} of {limit} are used")
        check(told(create(names[5], 1, ok=False), 1), "one more than the limit was made")
        topic_command(world, "private_plaintext", "--delete", "--topic", made[0])
        create(names[6], 6)
        check(used() == limit, f"{used()} of {limit} are used")
        used_up = f"used-{world.tag}-over"
        with auto_create(world):
            answer = world.kcat("-L", "-J", "-t", used_up)
            check(not topic(answer, used_up)["partitions"] and used() == limit, "a topic was made beyond the limit by being used")
    finally:
        topic_command(world, "private_plaintext", "--delete", "--topic", f"limit-{world.tag}-.*", ok=False)
    switched = auto_create_switches(world)
    return f"exactly {limit}; topics by being used, switched within {switched:.2f} s; REST not yet"


@row("E3")
def group_total(world):
    return groups.total(world, make_topic)


def topic(answer, name):
    return next(t for t in json.loads(answer.stdout)["topics"] if t["topic"] == name)


@contextmanager
def auto_create(world):
    """On meanwhile."""
    name = world.instance["name"]
    world.sluice("access", "set", name, "--auto-create", "on")
    try:
        yield
    finally:
        world.sluice("access", "set", name, "--auto-create", "off")


def auto_create_switches(world):
    """Off: nothing is made, whatever a client lets. On: Java and librdkafka, by both ports, make topics by using them. Gives the time
    until a broker made one after the switch was asked for."""
    lib = f"{Path(os.environ['SLUICE_TOOLS']) / 'kafka' / world.instance['kafka_version'] / 'libs'}/*"
    plain, sasl = world.instance["bootstrap"]["private_plaintext"], world.instance["bootstrap"]["private_sasl_ssl"]
    properties = world.files / "auto-create.properties"
    properties.write_text(
        f"security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nssl.truststore.type=PEM\nssl.truststore.location={world.ca}\n"
        f'sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="{world.user}" password="{world.password}";\n')
    java = lambda tool, *arguments, **how: run("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", lib, f"org.apache.kafka.tools.{tool}", *arguments, **how)
    names = [f"used-{world.tag}-{n}" for n in range(5)]
    exists = lambda name: name in {t["topic"] for t in json.loads(world.kcat("-L", "-J").stdout)["topics"]}

    missing = world.kcat("-P", "-t", names[0], "-X", "topic.metadata.propagation.max.ms=500", "-X", "message.timeout.ms=20000", stdin=b"lost\n", ok=False)
    check(b"nknown topic" in missing.stderr and not exists(names[0]), f"off, a producer heard {missing.stderr[-200:]}")
    processes = run("pgrep", "-f", f"kafka.Kafka.*{world.instance['id']}", ok=False).stdout
    began = time.monotonic()
    answer = world.api("PATCH", world.path(f"instances/{world.instance['name']}/access"), {"auto_create_topics": True}, Idempotency_Key=str(uuid.uuid4()))
    check(answer.status == 202, f"the switch answered {answer.status} {answer.code}")
    while not exists(names[0]):
        world.kcat("-L", "-J", "-t", names[0], "-X", "allow.auto.create.topics=true")
        check(time.monotonic() - began < 10, "no topic was made within 10 s")
    took = time.monotonic() - began
    check(took < 2, f"it took {took:.2f} s")
    world.wait_job(answer.json["id"])
    try:
        for tls, name in ((None, names[1]), ("PLAIN", names[2])):
            world.kcat("-P", "-t", name, tls=tls, stdin=b"one\n")
            check(world.kcat("-C", "-t", name, "-e", "-q", "-o", "beginning", tls=tls).stdout == b"one\n", f"{name}: not read back")
        java("ConsoleProducer", "--bootstrap-server", plain, "--topic", names[3], stdin=b"one\n")
        java("ConsoleConsumer", "--bootstrap-server", sasl, "--topic", names[4], "--timeout-ms", "4000", "--command-config" if world.instance["kafka_version"] >= "4.2" else "--consumer.config", properties, ok=False)
        for name in names:
            described = topic(world.kcat("-L", "-J", "-t", name), name)["partitions"]
            check([len(p["replicas"]) for p in described] == [3, 3, 3], f"{name}: {described}")
    finally:
        world.sluice("access", "set", world.instance["name"], "--auto-create", "off")
        topic_command(world, "private_plaintext", "--delete", "--topic", f"used-{world.tag}-.*", ok=False)
    check(run("pgrep", "-f", f"kafka.Kafka.*{world.instance['id']}", ok=False).stdout == processes, "a broker restarted")
    return took


@row("E2")
def bandwidth(world):
    return bought.bandwidth(world)


@row("E4")
def client_quotas(world):
    return quotas.quotas(world)


@row("E5")
def capacity(world):
    return bought.capacity(world)


@row("E6")
def message_size(world):
    topic, limit = f"size-{world.tag}", 10 * 1024 * 1024
    make_topic(world, topic, partitions=1)
    send = lambda size: world.kcat("-P", "-t", topic, "-X", "acks=all", "-X", "message.max.bytes=30000000", stdin=b"x" * size, ok=False)
    check(send(limit).returncode == 0, "a message of 10 MB was refused")
    larger = send(limit + 256 * 1024)
    check(larger.returncode != 0 and b"Message size too large" in larger.stderr, f"a larger one was not refused as such: {larger.stderr[-200:]}")
    grown = config_command(world, "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "max.message.bytes=20000000")
    check(b"above this instance's limit" in grown.stdout + grown.stderr, f"a topic may take more than was sold: {grown.stderr[-200:]}")
    back = world.kcat("-C", "-t", topic, "-e", "-q", "-X", "receive.message.max.bytes=100000000").stdout
    check(len(back.strip()) == limit, f"{len(back)} bytes came back")
    return "10 MiB goes through, more is MESSAGE_TOO_LARGE"


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
    began = time.monotonic()
    subprocess.run([Path(__file__).resolve().parents[3] / "scripts" / "up"], env={**os.environ, "DETACH": "1"}, check=True, capture_output=True, timeout=300)
    again = time.monotonic() - began
    check(run("pgrep", "-f", f"sluice-node.*{world.instance['id']}", ok=False).stdout.split() == nodes, "brokers were not left alone")
    return f"`make up` again: {again:.1f} s"

