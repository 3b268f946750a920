"""Row D3: certificates that change while clients produce: the platform's next one, a tenant's own keystore, and back."""

import hashlib
import socket
import ssl
import subprocess
import time
import uuid
from pathlib import Path

from rows import row, within
from sluice import PlainClient, check, run

STORE_PASSWORD = "Heron-lake-17"
MESSAGES, A_SECOND = 20_000, 1_000


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
    took = change_live(world, topic)
    return f"issued, renewed, uploaded as keystore, rotated under acks=all producers: on every broker {within(took)}, none dropped"


def keystore(world, name, addresses):
    """As a Java administrator makes one: a root of one's own and a PKCS#12 file with key and chain for these addresses."""
    for old in world.files.glob(f"{name}*"):
        old.unlink()
    root, store, csr, leaf, pem = (world.files / f"{name}{end}" for end in ("-ca.p12", ".p12", ".csr", "-leaf.pem", "-root.pem"))
    common = ["-storetype", "PKCS12", "-storepass", STORE_PASSWORD]
    tool = lambda *arguments: run("keytool", "-J-XX:TieredStopAtLevel=1", *arguments, *common)
    key = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1"]
    tool(*key, "-alias", "root", "-dname", f"CN=Root {name}", "-ext", "bc:c", "-keystore", root)
    tool(*key, "-alias", "kafka", "-dname", "CN=kafka.example.com", "-keystore", store)
    tool("-certreq", "-alias", "kafka", "-keystore", store, "-file", csr)
    san = "san=" + ",".join(f"ip:{address}" for address in addresses)
    tool("-gencert", "-alias", "root", "-keystore", root, "-infile", csr, "-outfile", leaf, "-rfc", "-ext", san, "-validity", "365")
    tool("-exportcert", "-alias", "root", "-keystore", root, "-rfc", "-file", pem)
    tool("-importcert", "-noprompt", "-alias", "root", "-file", pem, "-keystore", store)
    tool("-importcert", "-alias", "kafka", "-file", leaf, "-keystore", store)
    return store, pem


class Producer:
    """Java's own, through the gateways with acks=all, at a steady rate."""

    def __init__(self, world, topic, trust):
        properties = world.java_properties(trust=trust, name="producer")
        with properties.open("a") as more:
            more.write(f"bootstrap.servers={world.instance['bootstrap']['private_sasl_ssl']}\nacks=all\n")
        command = world.java_command("ProducerPerformance", "--topic", topic, "--num-records", MESSAGES, "--record-size", "512",
                                     "--throughput", A_SECOND, "--producer.config", properties)
        self.log = open(world.files / "producer.log", "w+")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)

    def text(self):
        return Path(self.log.name).read_text()

    def wait_until_producing(self):
        deadline = time.monotonic() + 60
        while "records sent" not in self.text():
            check(time.monotonic() < deadline and self.process.poll() is None, f"the producer does not produce: {self.text()[-400:]}")
            time.sleep(0.1)

    def end(self):
        check(self.process.wait(120) == 0, f"the producer failed: {self.text()[-400:]}")
        text = self.text()
        check(f"{MESSAGES} records sent" in text, f"not every message was written: {text[-400:]}")
        bad = [line for line in text.splitlines() if "Exception" in line or "ERROR" in line or "disconnect" in line.lower()]
        check(not bad, f"the producer noticed: {bad[:2]}")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()


def shown(host, trust):
    """SHA-256 of what a client that verifies everything is shown."""
    context = ssl.create_default_context(cafile=str(trust))
    with context.wrap_socket(socket.create_connection((host, 9093), timeout=10), server_hostname=host) as connection:
        return hashlib.sha256(connection.getpeercert(binary_form=True)).hexdigest()


def change_live(world, topic):
    """The longest time until every broker showed a new certificate."""
    instance, brokers = world.instance, world.hosts
    at = f"instances/{instance['id']}/certificate"
    certificate = lambda: world.api("GET", world.path(at)).json
    first = certificate()
    check(first["source"] == "platform" and set(first["names"]) >= set(brokers) and not first["uncovered"], f"not for its brokers: {first['names']}")
    jvms = world.jvms()
    store, root = keystore(world, "own", brokers)
    other, _ = keystore(world, "elsewhere", ["127.0.0.99"])
    trust = world.files / "both.pem"
    trust.write_text(world.ca.read_text() + root.read_text())
    open_before = [PlainClient.log_in(broker, trust, world.user, world.password) for broker in brokers]
    check(all(open_before), "a client cannot log in")
    producer, waits = Producer(world, topic, trust), []
    try:
        producer.wait_until_producing()

        def until_shown(change):
            old = certificate()["fingerprint_sha256"]
            began = time.monotonic()
            job = change()
            check(job.status == 202, f"a change answered {job.status}: {job.body[:300]}")
            while any(shown(broker, trust) == old for broker in brokers):
                check(time.monotonic() - began < 10, "a broker still shows the old certificate after 10 s")
            waits.append(time.monotonic() - began)
            check(world.wait_job(job.json["id"])["state"] == "succeeded", "the job failed")
            new = certificate()["fingerprint_sha256"]
            check({shown(broker, trust) for broker in brokers} == {new}, "brokers show another certificate than the API tells")

        rotate = lambda: world.api("POST", world.path(f"{at}/rotate"), {}, Idempotency_Key=str(uuid.uuid4()))
        until_shown(rotate)
        check(set(certificate()["names"]) == set(brokers), f"not for its brokers alone: {certificate()['names']}")
        upload = ["cert", "upload", instance["name"], "--keystore-password-file", "-"]
        plan = world.sluice_json(*upload, "--keystore", store, "--dry-run", stdin=STORE_PASSWORD.encode())
        check(set(plan["names"]) == set(brokers) and "CERTIFICATE" in plan["trust_pem"], f"the plan: {plan}")
        old = certificate()["fingerprint_sha256"]
        world.sluice(*upload, "--keystore", store, "--yes", stdin=STORE_PASSWORD.encode())
        own = certificate()
        check(own["source"] == "own" and {shown(broker, trust) for broker in brokers} == {own["fingerprint_sha256"]} != {old}, "the own certificate is not shown")
        held = world.sluice("cert", "truststore", instance["name"], "--out", "-").stdout.decode()
        check(held.count("BEGIN CERTIFICATE") == 2, "the truststore does not hold both authorities")
        for bad, word, code in ((store, "Wrong-word-99", b"wrong-password"), (other, STORE_PASSWORD, b"uncovered-address"), (world.ca, STORE_PASSWORD, b"keystore-unreadable")):
            refused = world.sluice(*upload, "--keystore", bad, "--yes", "-o", "json", stdin=word.encode(), ok=False)
            check(refused.returncode == 4, f"{code}: exit code {refused.returncode}, {refused.stderr[-300:]}")
        check({shown(broker, trust) for broker in brokers} == {own["fingerprint_sha256"]}, "a refused upload changed what is shown")
        until_shown(rotate)
        producer.end()
    finally:
        producer.close()
    check(not any(client.closed() for client in open_before), "an open connection was dropped")
    check(world.jvms() == jvms, "a broker restarted")
    history = [(one["source"], one["reason"]) for one in certificate()["history"]]
    check(history[:2] == [("own", "uploaded"), ("platform", "rotated")] and history[-1] == ("platform", "created"), f"the history: {history}")
    check("uploaded" in world.sluice("cert", "history", instance["name"]).stdout.decode(), "the command line shows no history")
    return max(waits)
