"""A plain Apache Kafka of one broker with a PLAINTEXT and a SASL_SSL listener, to compare an instance with.

Settings that clients can see (no auto-creation, message limit) are those of an instance.
"""

import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

from .plan import TRUSTSTORE_PASSWORD, Target

HOST = "127.77.0.1"
USER = "clients"
# 10 MB (product.md §5) and the room that an instance leaves for batch header, key and headers.
MESSAGE_MAX_BYTES = 10 * 1024 * 1024 + 4096


class DirectKafka:
    """Starts on entry, with a log file; ends and leaves nothing but the log on exit."""

    def __init__(self, line: str, libraries: Path, directory: Path):
        self._line = line
        self._libraries = libraries
        self._directory = directory
        self._password = secrets.token_urlsafe(18)
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Target:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True)
        self._certificates()
        properties = self._directory / "server.properties"
        properties.write_text(self._properties())
        properties.chmod(0o600)
        scram = [f"--add-scram=SCRAM-SHA-{bits}=[name={USER},password={self._password}]" for bits in (256, 512)]
        cluster = "c2x1aWNlLWNsaWVudHMtMQ"
        with (self._directory / "kafka.log").open("wb") as log:
            java = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{self._libraries}/*"]
            format_ = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties), "--standalone", *scram]
            subprocess.run([*java, *format_], stdout=log, stderr=log, check=True)
            self._process = subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=log, stderr=log)
        try:
            self._wait_until_listening()
        except BaseException:
            self.__exit__()
            raise
        return Target(f"{HOST}:9092", f"{HOST}:9093", USER, self._password, self._directory / "trust", self._line, "direct")

    def __exit__(self, *_exception) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        shutil.rmtree(self._directory / "data", ignore_errors=True)

    def _wait_until_listening(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection((HOST, 9093), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"clients: Kafka did not start, see {self._directory / 'kafka.log'}")

    def _certificates(self) -> None:
        trust = self._directory / "trust"
        trust.mkdir()

        def run(*command: str) -> None:
            subprocess.run(command, cwd=self._directory, check=True, capture_output=True)

        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        run("openssl", "req", "-x509", *new_key, "-keyout", "ca.key", "-out", "trust/ca.pem", "-subj", "/CN=direct CA", "-days", "2",
            "-addext", "keyUsage=critical,keyCertSign")
        run("openssl", "req", *new_key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=direct")
        (self._directory / "extensions").write_text(f"subjectAltName=IP:{HOST}\nextendedKeyUsage=serverAuth\n")
        run("openssl", "x509", "-req", "-in", "server.csr", "-CA", "trust/ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", "server.crt", "-days", "2", "-extfile", "extensions")
        (self._directory / "keystore.pem").write_text(
            (self._directory / "server.key").read_text() + (self._directory / "server.crt").read_text())
        for kind, suffix in (("PKCS12", "p12"), ("JKS", "jks")):
            run("keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", "trust/ca.pem", "-storetype", kind,
                "-keystore", f"trust/truststore.{suffix}", "-storepass", TRUSTSTORE_PASSWORD)

    def _properties(self) -> str:
        plain = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{self._password}";'
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        settings = {
            "node.id": 1,
            "process.roles": "broker,controller",
            "controller.quorum.bootstrap.servers": f"{HOST}:9191",
            "listeners": f"PLAINTEXT://{HOST}:9092,SASL_SSL://{HOST}:9093,CTL://{HOST}:9191",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CTL:PLAINTEXT",
            "controller.listener.names": "CTL",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self._directory / "data",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": plain,
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self._directory / "keystore.pem",
            "auto.create.topics.enable": "false",
            "message.max.bytes": MESSAGE_MAX_BYTES,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "offsets.topic.num.partitions": 5,
            "transaction.state.log.num.partitions": 5,
        }
        if self._line != "3.9":
            settings["share.coordinator.state.topic.replication.factor"] = 1
            settings["share.coordinator.state.topic.min.isr"] = 1
            settings["share.coordinator.state.topic.num.partitions"] = 5
        return "".join(f"{key}={value}\n" for key, value in settings.items())


def libraries(line: str, tools: Path) -> Path:
    """The assembled distribution of this line of Kafka under `$SLUICE_TOOLS/kafka`."""
    found = sorted(tools.glob(f"kafka/{line}*/libs"))
    if not found:
        raise SystemExit(f"clients: no Kafka {line} under {tools / 'kafka'}; scripts/fetch-kafka assembles it")
    return found[-1]


def tools_directory(root: Path) -> Path:
    return Path(os.environ.get("SLUICE_TOOLS", root / ".tools"))
