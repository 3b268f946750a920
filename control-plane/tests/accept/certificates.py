"""Row D3: certificates that change while clients produce: the platform's next one, a tenant's own of each format, and back."""

import hashlib
import os
import re
import socket
import ssl
import subprocess
import time
import urllib.request
import uuid
from pathlib import Path

from authority import Authority
from own_certificates import KEY_PASSWORD, STORE_PASSWORD, TRUST_PASSWORD, bad_pairs, jks, keystore
from rows import row, within
from sluice import PlainClient, check, eventually, run

# Records of the first producer, for how long the others go on at its rate, and how often they tell: a change takes 1 or 2 s.
FIRST, SECONDS, TOLD_EVERY_MS, RECORD_BYTES = 20_000, 8, 500, 1_000
# An own certificate that ends so soon is told of.
ENDS_IN_DAYS = 5


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
    world.make_topic(topic, 6)
    live = Live(world, topic)
    try:
        live.walk()
    finally:
        live.close()
    world.java("TopicCommand", "--delete", "--topic", topic)
    return (f"issued, renewed, uploaded as PEM, PKCS#12 and JKS, rotated under producers with acks=all at full rate ({min(live.rates):.0f} MB/s): "
            f"on every broker {within(max(live.waits))}, none dropped, each broker a line of the job")


class Producer:
    """Java's own, through the gateways with acks=all, as fast as it can."""

    def __init__(self, world, topic, trust, records):
        self.records = records
        properties = world.java_properties(trust=trust, name="producer")
        with properties.open("a") as more:
            more.write(f"bootstrap.servers={world.instance['bootstrap']['private_sasl_ssl']}\nacks=all\n")
        command = world.java_command("ProducerPerformance", "--topic", topic, "--num-records", records, "--record-size", RECORD_BYTES,
                                     "--throughput", "-1", "--reporting-interval", TOLD_EVERY_MS, "--producer.config", properties)
        self.log = open(world.files / "producer.log", "w+")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)

    def text(self):
        return Path(self.log.name).read_text()

    def wait_until_producing(self):
        """It has told of records that were acknowledged."""
        deadline = time.monotonic() + 60
        while "records sent" not in self.text():
            check(time.monotonic() < deadline and self.process.poll() is None, f"the producer does not produce: {self.text()[-400:]}")
            time.sleep(0.1)

    def told(self):
        """Records that it has told of as acknowledged."""
        return sum(map(int, re.findall(r"^(\d+) records sent", self.text(), re.M)))

    def produces(self):
        return self.process.poll() is None

    def end(self):
        """Records a second, once all of them are acknowledged."""
        check(self.process.wait(180) == 0, f"the producer failed: {self.text()[-400:]}")
        text = self.text()
        # It counts what was acknowledged.
        check(f"\n{self.records} records sent" in f"\n{text}", f"not every record was acknowledged: {text[-400:]}")
        bad = [line for line in text.splitlines() if "Exception" in line or "ERROR" in line or "disconnect" in line.lower()]
        check(not bad, f"the producer noticed: {bad[:2]}")
        return float(re.findall(r"([\d.]+) records/sec", text)[-1])

    def close(self):
        if self.produces():
            self.process.kill()
        self.process.wait()
        self.log.close()


def shown(host, trust):
    """SHA-256 of what a client that verifies everything is shown."""
    context = ssl.create_default_context(cafile=str(trust))
    with context.wrap_socket(socket.create_connection((host, 9093), timeout=10), server_hostname=host) as connection:
        return hashlib.sha256(connection.getpeercert(binary_form=True)).hexdigest()


class Live:
    """An instance whose certificate changes under producers, and clients that stay all the while."""

    def __init__(self, world, topic):
        self.world, self.topic, self.name, self.brokers = world, topic, world.instance["name"], world.hosts
        self.at = world.path(f"instances/{world.instance['id']}/certificate")
        self.own, self.trust = Authority(world.files, "acme"), world.files / "all.pem"
        self.p12, root = keystore(world.files, "own", self.brokers)
        self.trust.write_text("".join(pem.read_text() for pem in (world.ca, root, self.own.pem)))
        self.waits, self.rates, self.records, self.producer = [], [], 0, None
        self.rate = self.produced(Producer(world, topic, self.trust, FIRST))

    def produced(self, producer):
        self.producer = producer
        rate = producer.end()
        self.records += producer.records
        return rate

    def close(self):
        if self.producer:
            self.producer.close()

    def walk(self):
        world, first, jvms = self.world, self.certificate(), self.world.jvms()
        check(first["source"] == "platform" and set(first["names"]) >= set(self.brokers) and not first["uncovered"], f"not for its brokers: {first['names']}")
        stay = [PlainClient.log_in(broker, self.trust, world.user, world.password) for broker in self.brokers]
        check(all(stay), "a client cannot log in")
        self.change(self.rotate)
        check(set(self.certificate()["names"]) == set(self.brokers), f"not for its brokers alone: {self.certificate()['names']}")
        ending = self.own.server("ending", self.brokers, ENDS_IN_DAYS)
        self.change(lambda: self.put({"format": "pem", "certificate_pem": ending[0].read_text(), "private_key_pem": ending[1].read_text(), "ca_pem": self.own.pem.read_text()}),
                    meanwhile=self.refused)
        check(self.world.sluice("cert", "truststore", self.name, "--out", "-").stdout.count(b"BEGIN CERTIFICATE") == 2, "the truststore does not hold both authorities")
        self.told_of_its_end()
        self.by_command_line()
        self.change(self.rotate)
        check(not any(client.closed() for client in stay), "an open connection was dropped")
        check(world.jvms() == jvms, "a broker restarted")
        history = [(one["source"], one["reason"]) for one in self.certificate()["history"]]
        check(history[:4] == [("own", "uploaded")] * 3 + [("platform", "rotated")] and history[-1] == ("platform", "created"), f"the history: {history}")
        check("uploaded" in world.sluice("cert", "history", self.name).stdout.decode(), "the command line shows no history")
        self.each_once()

    def certificate(self):
        return self.world.api("GET", self.at).json

    def rotate(self):
        return self.world.api("POST", f"{self.at}/rotate", {}, Idempotency_Key=str(uuid.uuid4()))

    def put(self, body):
        return self.world.api("PUT", self.at, body, If_Match="*", Idempotency_Key=str(uuid.uuid4()))

    def all_show(self):
        return {shown(broker, self.trust) for broker in self.brokers}

    def change(self, ask, meanwhile=lambda: None):
        """Under a producer: how long it takes until every broker shows another certificate to new clients. `meanwhile` is done until it ends."""
        try:
            self.produce()
            old, began = self.certificate()["fingerprint_sha256"], time.monotonic()
            job = ask()
            check(job.status == 202, f"a change answered {job.status}: {job.body[:300]}")
            while any(shown(broker, self.trust) == old for broker in self.brokers):
                check(time.monotonic() - began < 10, "a broker still shows the old certificate after 10 s")
            self.waits.append(time.monotonic() - began)
            check(self.producer.produces(), "the producer was done before the change was")
            self.told_by_broker(self.world.wait_job(job.json["id"]))
            check(self.all_show() == {self.certificate()["fingerprint_sha256"]}, "brokers show another certificate than the API tells")
            meanwhile()
            self.rate = self.produced(self.producer)
            self.rates.append(self.rate * RECORD_BYTES / 1e6)
        finally:
            self.close()

    def produce(self):
        """Until a producer is at work that lasts over a change: one that is faster than the last is followed by a longer one."""
        while True:
            self.producer = Producer(self.world, self.topic, self.trust, int(self.rate * SECONDS))
            self.producer.wait_until_producing()
            if 2 * self.producer.told() < self.producer.records:
                return
            self.rate = 2 * self.produced(self.producer)

    def told_by_broker(self, job):
        """REST and the command line show every broker by itself in the steps that go by brokers."""
        check(job["state"] == "succeeded", f"the job ended {job['state']}: {job['problem']}")
        ids = sorted(broker["id"] for broker in self.world.instance["brokers"])
        text = self.world.sluice("job", "get", job["id"]).stdout.decode()
        watched = self.world.sluice("job", "watch", job["id"]).stderr.decode()
        for step, word in (("push", "has it"), ("prove", "shows")):
            parts = next(one for one in job["steps"] if one["name"] == step)["brokers"]
            check([part["broker_id"] for part in parts] == ids, f"{step} tells of {parts}")
            check(all(part["state"] == "succeeded" and part["changed_at"] and word in part["detail"] for part in parts), f"{step}: {parts}")
            for part in parts:
                check(f"✓ {part['detail']}" in text and f"✓ {part['detail']}" in watched, f"the command line does not show: {part['detail']}")

    def refused(self):
        """By the command line, each with its reason; what is served goes on."""
        before, store = self.certificate()["fingerprint_sha256"], ("--keystore-password-file", "-", "--keystore")
        pem = lambda leaf, key, chain: ("--certificate", leaf, "--key", key, *(("--ca", chain) if chain else ()))
        for code, flags, word in (
            ("wrong-password", (*store, self.p12), "Wrong-word-99"),
            ("keystore-unreadable", (*store, self.world.ca), STORE_PASSWORD),
            *((code, pem(*pair), "") for code, *pair in bad_pairs(self.own, self.brokers)),
        ):
            answer = self.world.sluice("cert", "upload", self.name, *flags, "--yes", stdin=word.encode(), ok=False)
            told = answer.stderr.decode()
            check(answer.returncode == 4 and re.findall(r"^  - .*\(([a-z-]+)\)$", told, re.M) == [code], f"{code}: exit code {answer.returncode}, {told[-300:]}")
            check(self.all_show() == {before}, f"{code}: a refused upload changed what is shown")

    def told_of_its_end(self):
        """By REST, command line and metrics, once the loop has looked, which it does every minute."""
        notices = eventually("a notice that the certificate ends", lambda: self.certificate()["notices"], 90)
        check([notice["days_left"] for notice in notices] == [7], f"the notices: {notices}")
        text = self.world.sluice("cert", "show", self.name).stdout.decode()
        check(re.search(rf"Days left\W+{ENDS_IN_DAYS - 1}\b", text) and "7 days left, or fewer" in text, f"the command line shows {text[-600:]}")
        # `make up` has metrics on the next port.
        port = int(os.environ["SLUICE_LISTEN"].rsplit(":", 1)[1]) + 1
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
        counted = re.search(r"^sluice_certificates_expiring (\d+)$", metrics, re.M)
        check(counted and int(counted[1]) >= 1, "the metric does not count it")

    def by_command_line(self):
        """PKCS#12 as keytool makes it, and JKS with another password for the key and a truststore beside it."""
        upload, word = ["cert", "upload", self.name, "--keystore-password-file", "-"], STORE_PASSWORD.encode()
        plan = self.world.sluice_json(*upload, "--keystore", self.p12, "--dry-run", stdin=word)
        check(set(plan["names"]) == set(self.brokers) and "CERTIFICATE" in plan["trust_pem"], f"the plan: {plan}")
        ids = sorted(broker["id"] for broker in self.world.instance["brokers"])
        check([step["brokers"] for step in plan["steps"]] == [[], ids, ids], f"the plan's steps: {plan['steps']}")
        store, trust = jks(self.own, *self.own.server("jks", self.brokers))
        passwords = [self.world.files / name for name in ("key-password", "trust-password")]
        for file, password in zip(passwords, (KEY_PASSWORD, TRUST_PASSWORD)):
            file.write_text(password)
        both = ["--keystore", store, "--key-password-file", passwords[0], "--truststore", trust, "--truststore-password-file", passwords[1]]
        for files in (["--keystore", self.p12], both):
            old = self.certificate()["fingerprint_sha256"]
            self.world.sluice(*upload, *files, "--yes", stdin=word)
            own = self.certificate()
            check(own["source"] == "own" and self.all_show() == {own["fingerprint_sha256"]} != {old}, f"{files[1].name} is not shown")

    def each_once(self):
        """What the producers were told is what the topic holds."""
        ends = self.world.java("GetOffsetShell", "--topic", self.topic).stdout.decode()
        held = sum(int(line.rsplit(":", 1)[1]) for line in ends.split())
        check(held == self.records, f"{self.records} records were acknowledged, the topic holds {held}")
