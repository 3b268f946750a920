"""The product from outside: its command line, its REST API, real Kafka clients. Nothing here knows its inside."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path


class Failed(Exception):
    """What was seen is not what the row says."""


def check(condition, what):
    if not condition:
        raise Failed(what)


def run(*command, stdin=None, timeout=120, ok=True, env=None):
    done = subprocess.run([str(part) for part in command], input=stdin, capture_output=True, timeout=timeout,
                          env={**os.environ, **(env or {})})
    if ok and done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command[:4]))}… ended with {done.returncode}: {(done.stderr or done.stdout).decode()[-400:].strip()}")
    return done


def eventually(what, reached, seconds=60, pause=0.2):
    """What was reached."""
    deadline = time.monotonic() + seconds
    while not (found := reached()):
        check(time.monotonic() < deadline, f"not in {seconds} s: {what}")
        time.sleep(pause)
    return found


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json.get("code") if self.body else None


class Api:
    """REST as a user of curl has it."""

    def __init__(self, url, token=None):
        self.url, self.token, self.renew_at, self.credentials = url, token, None, None

    def __call__(self, method, path, body=None, **headers):
        if self.renew_at and time.monotonic() > self.renew_at:
            fresh, _ = Api(self.url).sign_in(*self.credentials)
            self.token, self.renew_at = fresh.token, fresh.renew_at
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/merge-patch+json" if method == "PATCH" else "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        for attempt in range(5):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return Answer(answer.status, answer.headers, answer.read())
            except urllib.error.HTTPError as error:
                answer = Answer(error.code, error.headers, error.read())
                if error.code == 429 and attempt < 4 and "auth" not in path:
                    time.sleep(min(5, int(error.headers.get("Retry-After") or 1)))
                    continue
                return answer

    def sign_in(self, email, password):
        answer = self("POST", "/v1/auth/token", {"grant_type": "password", "email": email, "password": password})
        check(answer.status == 200, f"sign-in answered {answer.status} {answer.code}")
        signed_in = Api(self.url, answer.json["access_token"])
        # What takes longer than a token lives signs in again, as the command line does.
        signed_in.renew_at, signed_in.credentials = time.monotonic() + answer.json["expires_in"] - 60, (email, password)
        return signed_in, answer.json


class PlainClient:
    """One connection that logs in and never makes another, which real clients would do unseen."""

    def __init__(self, connection):
        self.connection = connection

    @classmethod
    def by_tls(cls, host, ca, port=9093):
        context = ssl.create_default_context(cafile=str(ca))
        return cls(context.wrap_socket(socket.create_connection((host, port), timeout=10), server_hostname=host))

    @classmethod
    def log_in(cls, host, ca, user, password, port=9093):
        """By PLAIN; none when it is refused."""
        client = cls.by_tls(host, ca, port)
        client.ask(17, 1, struct.pack(">h", 5) + b"PLAIN")
        return client if client.tokens(f"\0{user}\0{password}") is not None else None

    @classmethod
    def scram(cls, host, ca, user, password, port=9093):
        """By SCRAM-SHA-512 (RFC 5802); none when it is refused."""
        client = cls.by_tls(host, ca, port)
        return client if client.proves(user, password) else None

    def proves(self, user, password):
        """Whether SCRAM-SHA-512 lets this user in."""
        first = f"n={user},r={uuid.uuid4().hex}"
        self.ask(17, 1, struct.pack(">h", 13) + b"SCRAM-SHA-512")
        if (challenge := self.tokens(f"n,,{first}")) is None:
            return False
        told = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(told["s"]), int(told["i"]))
        key, last = hmac.digest(salted, b"Client Key", "sha512"), f"c=biws,r={told['r']}"
        signature = hmac.digest(hashlib.sha512(key).digest(), f"{first},{challenge},{last}".encode(), "sha512")
        proof = base64.b64encode(bytes(one ^ other for one, other in zip(key, signature))).decode()
        return self.tokens(f"{last},p={proof}") is not None

    def tokens(self, said):
        """What the server says to it; none when it refuses."""
        answer = self.answer(36, 0, struct.pack(">i", len(said.encode())) + said.encode())
        error, words = struct.unpack_from(">hh", answer)
        return answer[8 + max(0, words):].decode() if error == 0 else None

    @classmethod
    def anonymous(cls, host, port=9092, source=None):
        """None when it is refused, which Kafka's way is an end before any answer."""
        try:
            client = cls(socket.create_connection((host, port), timeout=10, source_address=source and (source, 0)))
            client.ask(18, 0, b"")
            return client
        except (OSError, Failed):
            return None

    def ask(self, key, version, body):
        """The error code that the answer begins with."""
        return struct.unpack(">h", self.answer(key, version, body)[:2])[0]

    def answer(self, key, version, body):
        """The body of the answer."""
        self.connection.sendall(struct.pack(">ihhih", 10 + len(body), key, version, 7, -1) + body)
        size, = struct.unpack(">i", self.read(4))
        return self.read(size)[4:]

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.connection.recv(count - len(data))
            check(more, "the connection ended in the middle of an answer")
            data += more
        return data

    def closed(self):
        self.connection.settimeout(0.01)
        try:
            return self.connection.recv(1) == b""
        except (TimeoutError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True


class World:
    """What `make up` started, and what the rows share."""

    def __init__(self):
        self.home = Path(os.environ["SLUICE_HOME"])
        self.url = f"http://{os.environ['SLUICE_LISTEN']}"
        self.cli = self.home / "bin" / "sluice"
        self.tag = uuid.uuid4().hex[:6]
        self.environment = {"SLUICE_CONFIG_DIR": str(self.home / "cli"), "SLUICE_PROJECT": "default"}
        lines = (self.home / "credentials").read_text().splitlines()
        self.credentials = dict(line.split(": ", 1) for line in lines if ": " in line)
        self.anonymous = Api(self.url)
        self.api, self.session = self.anonymous.sign_in(self.credentials["email"], self.credentials["password"])
        self.project = self.api("GET", "/v1/projects").json["items"][0]["id"]
        self.files = self.home / "accept"
        self.files.mkdir(exist_ok=True)
        self.user, self.password, self.ca = "accept", "Kafka-Word-71", self.files / "ca.pem"
        self._instance = None

    def path(self, rest):
        return f"/v1/projects/{self.project}/{rest}"

    def sluice(self, *arguments, ok=True, stdin=None, timeout=180):
        return run(self.cli, *arguments, ok=ok, stdin=stdin, timeout=timeout, env=self.environment)

    def sluice_json(self, *arguments, **options):
        return json.loads(self.sluice(*arguments, "-o", "json", **options).stdout)

    def order(self, **changes):
        return {"name": f"acc-{self.tag}-{uuid.uuid4().hex[:4]}", "spec": "kafka.100", "storage_gb": 600, "disk_type": "high", **changes}

    def end_control_plane(self, sign=signal.SIGTERM):
        remembered = self.home / "run" / "control-plane.pid"
        if not remembered.exists():  # it was ended before, and no other was started
            return
        pid = int(remembered.read_text().split()[0])
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            os.kill(pid, sign)
        # A zombie where nobody has heard of its end.
        state = lambda: run("ps", "-o", "stat=", "-p", pid, ok=False).stdout.strip()
        eventually("the control plane has ended", lambda: state()[:1] in (b"", b"Z"))
        remembered.unlink()  # the number may be another's soon

    def up(self, **settings):
        """`make up` again; gives how many seconds that took."""
        began, script = time.monotonic(), Path(__file__).resolve().parents[3] / "scripts" / "up"
        run(script, timeout=300, env={"DETACH": "1", **settings})
        return time.monotonic() - began

    def restart(self, **settings):
        """The control plane anew, with these settings. Where that fails it is back without them, for the rows that come after."""
        try:
            self.end_control_plane()
            self.up(**settings)
        except Exception:
            self.end_control_plane()
            self.up()
            raise

    def wait_job(self, job, seconds=180):
        deadline = time.monotonic() + seconds
        while True:
            answer = self.api("GET", self.path(f"jobs/{job}"))
            check(answer.status == 200, f"job answered {answer.status}")
            if answer.json["ended_at"] or answer.json["state"] == "stuck":
                return answer.json
            check(time.monotonic() < deadline, f"job {job} did not end in {seconds} s, it is {answer.json['state']}")
            time.sleep(0.2)

    def wait_step(self, job, name, seconds=60):
        """Until the job is at work on this step."""
        deadline = time.monotonic() + seconds
        at = lambda: [s["name"] for s in self.api("GET", self.path(f"jobs/{job}")).json["steps"] if s["state"] == "running"]
        while at() != [name]:
            check(time.monotonic() < deadline, f"job {job} did not get to {name} in {seconds} s")
            time.sleep(0.05)

    @property
    def instance(self):
        """One instance for all rows that need a running one, bought by REST; the seconds it took are in `bought_in`."""
        if self._instance is None:
            began = time.monotonic()
            order = self.order(access={"sasl_ssl": {"user": self.user, "password": self.password}})
            answer = self.api("POST", self.path("instances"), order, Idempotency_Key=str(uuid.uuid4()))
            check(answer.status == 202, f"the order answered {answer.status}: {answer.body[:300]}")
            self.creation = self.wait_job(answer.json["id"])
            check(self.creation["state"] == "succeeded", f"the order ended {self.creation['state']}: {self.creation['problem']}")
            self.bought_in = time.monotonic() - began
            self._instance = self.api("GET", self.path(f"instances/{self.creation['resource']['id']}")).json
            self.sluice("cert", "truststore", self._instance["name"], "--format", "pem", "--out", self.ca, "--force")
        return self._instance

    @property
    def hosts(self):
        """The brokers' private addresses."""
        return [address.rsplit(":", 1)[0] for address in self.instance["bootstrap"]["private_sasl_ssl"].split(",")]

    def jvms(self):
        """The processes of the instance's Kafka, which are others after a restart."""
        return run("pgrep", "-f", f"kafka.Kafka.*{self.instance['id']}").stdout.split()

    def java_command(self, tool, *arguments, options=(), instance=None):
        """One of Kafka's own tools, as a tenant has it."""
        libraries = Path(os.environ["SLUICE_TOOLS"]) / "kafka" / (instance or self.instance)["kafka_version"] / "libs"
        name = tool if tool.startswith("kafka.") else f"org.apache.kafka.tools.{tool}"
        return [str(part) for part in ("java", "-Xmx192m", "-XX:TieredStopAtLevel=1", *options, "-cp", f"{libraries}/*", name, *arguments)]

    def java(self, tool, *arguments, way="private_plaintext", instance=None, options=(), **how):
        """The tool's run against the instance, by one of its ways in."""
        bootstrap = (instance or self.instance)["bootstrap"][way]
        return run(*self.java_command(tool, "--bootstrap-server", bootstrap, *arguments, options=options, instance=instance), **how)

    def make_topic(self, name, partitions=3, *options):
        self.java("TopicCommand", "--create", "--if-not-exists", "--topic", name, "--partitions", partitions, *options)

    def java_properties(self, mechanism="SCRAM-SHA-512", user=None, password=None, trust=None, name="client"):
        """Settings of a Java client that logs in on 9093."""
        user, password = user or self.user, password or self.password
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        properties = self.files / f"{name}.properties"
        properties.write_text(
            f"security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\nssl.truststore.type=PEM\nssl.truststore.location={trust or self.ca}\n"
            f'sasl.jaas.config=org.apache.kafka.common.security.{module} required username="{user}" password="{password}";\n')
        return properties

    def kcat(self, *arguments, tls=None, stdin=None, ok=True, timeout=60, password=None, bootstrap=None):
        """kcat on 9092, or on 9093 with the mechanism `tls`; or on other servers."""
        known = self.instance["bootstrap"]
        options = ["-b", bootstrap or (known["private_sasl_ssl"] if tls else known["private_plaintext"])]
        if tls:
            options += ["-X", "security.protocol=sasl_ssl", "-X", f"sasl.mechanisms={tls}", "-X", f"sasl.username={self.user}",
                        "-X", f"sasl.password={password or self.password}", "-X", f"ssl.ca.location={self.ca}",
                        "-X", "ssl.endpoint.identification.algorithm=https"]
        return run("kcat", *options, *arguments, stdin=stdin, ok=ok, timeout=timeout)

    def close(self):
        if self._instance is not None:
            answer = self.api("DELETE", self.path(f"instances/{self._instance['id']}"), Idempotency_Key=str(uuid.uuid4()))
            if answer.status == 202:
                self.wait_job(answer.json["id"])
