"""A Kafka broker with a listener for each way to reach it, and the relays that are compared in front of it."""

import base64
import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path

from measure import Processes, listening, wait_for

HOST = os.environ.get("SLUICE_BENCH_HOST", "127.77.0.1")
USER, PASSWORD = "bench", "Bench-password-1"
# Ports: Kafka's own listeners …
UPSTREAM, UPSTREAM_SASL, FOR_COPY, FOR_COPY_TLS, KAFKA_TLS, CONTROLLER, BETWEEN, REPLICATION = 9192, 9193, 9194, 9195, 9393, 9191, 9190, 9196
# … and the relays'. kafka-proxy speaks to UPSTREAM and rewrites addresses; the copy loop cannot, so Kafka advertises it.
GATEWAY, GATEWAY_TLS, COPY, COPY_TLS, PROXY, PROXY_TLS = 9092, 9093, 29092, 29093, 39092, 39093
# Kroxylicious takes the next ports too, one for each broker.
KROXYLICIOUS, KROXYLICIOUS_TLS = 49092, 49192
KAFKA_PROXY = "github.com/grepplabs/kafka-proxy@v0.4.3"


def sh(*command, **kwargs):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, **kwargs).stdout


def kafka_id():
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


class Rig:
    """One broker; or one of several, of one cluster: `cluster_of`."""

    def __init__(self, work, tools, binaries, kafka="4.3.1", host=HOST, node_id=1):
        self.work, self.tools, self.binaries, self.host = Path(work), Path(tools), Path(binaries), host
        self.work.mkdir(parents=True, exist_ok=True)
        self.libs = self.tools / "kafka" / kafka / "libs"
        self.kafka_version = kafka
        self.processes = Processes(self.work / "logs")
        self.pids = {}
        self.node_id, self.cluster, self.directory = node_id, kafka_id(), kafka_id()
        self.all, self.between, self.heap = [self], "REP", "2g"

    @classmethod
    def cluster_of(cls, brokers, between):
        """They replicate by this listener; the first has certificates for all."""
        for one in brokers:
            one.all, one.between, one.cluster, one.heap = brokers, between, brokers[0].cluster, "768m"
        return brokers

    # --- certificates -------------------------------------------------------------------------------------------

    def certificates(self):
        pki = self.work / "pki"
        pki.mkdir(parents=True, exist_ok=True)
        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
        for ca in ("public", "internal"):
            sh("openssl", "req", "-x509", *ec, "-subj", f"/CN={ca} CA", "-keyout", pki / f"{ca}-ca.key", "-out", pki / f"{ca}-ca.pem")
        for name, ca, subject in (
            ("server", "public", "/CN=server"),
            ("node", "internal", "/CN=sluice-node"),
            ("control-plane", "internal", "/CN=sluice-control-plane"),
        ):
            sh("openssl", "req", *ec, "-subj", subject, "-keyout", pki / f"{name}.key", "-out", pki / f"{name}.csr")
            (pki / "san.cnf").write_text(f"subjectAltName={','.join(f'IP:{one.host}' for one in self.all)}\nextendedKeyUsage=serverAuth,clientAuth\n")
            sh("openssl", "x509", "-req", "-in", pki / f"{name}.csr", "-CA", pki / f"{ca}-ca.pem", "-CAkey", pki / f"{ca}-ca.key",
               "-CAcreateserial", "-days", "30", "-extfile", pki / "san.cnf", "-out", pki / f"{name}.pem")
        for one in self.all:
            one.pki = pki

    # --- Kafka --------------------------------------------------------------------------------------------------

    def start_kafka(self):
        listeners = {
            "CTL": (CONTROLLER, "SSL", CONTROLLER), "INT": (BETWEEN, "SSL", BETWEEN), "REP": (REPLICATION, "SASL_PLAINTEXT", REPLICATION), "PLN": (UPSTREAM, "PLAINTEXT", UPSTREAM),
            "SAS": (UPSTREAM_SASL, "SASL_PLAINTEXT", UPSTREAM_SASL), "COPY": (FOR_COPY, "PLAINTEXT", COPY),
            "COPYTLS": (FOR_COPY_TLS, "PLAINTEXT", COPY_TLS), "TLS": (KAFKA_TLS, "SSL", KAFKA_TLS),
        }
        replicas = len(self.all)
        properties = {
            "process.roles": "broker,controller", "node.id": self.node_id,
            "controller.quorum.bootstrap.servers": ",".join(f"{one.host}:{CONTROLLER}" for one in self.all), "controller.listener.names": "CTL",
            "inter.broker.listener.name": self.between,
            "listeners": ",".join(f"{name}://{self.host}:{port}" for name, (port, _, _) in listeners.items()),
            "advertised.listeners": ",".join(f"{name}://{self.host}:{out}" for name, (_, _, out) in listeners.items()),
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, (_, kind, _) in listeners.items()),
            "log.dirs": self.work / "kafka-data", "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": replicas, "transaction.state.log.replication.factor": replicas,
            # As the product has it; or the disk holds all that was ever produced.
            "log.retention.check.interval.ms": 10_000, "log.segment.delete.delay.ms": 1000,
            "transaction.state.log.min.isr": 1, "num.network.threads": 3, "num.io.threads": 4,
            "socket.listen.backlog.size": 4096,
            # Two hundred requests of 10 MB are not for the broker's heap.
            "queued.max.request.bytes": 256 << 20,
            # As brokers of one machine have it (docs/adr/0003).
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512", "listener.name.rep.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.rep.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
                                                                f'username="node" password="{PASSWORD}";',
            "listener.name.sas.sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256",
            "listener.name.sas.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "listener.name.sas.scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            **self.identity("tls", "server"), **self.identity("int", "node", "internal"), **self.identity("ctl", "node", "internal"),
        }
        config = self.work / "server.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        voters = ",".join(f"{one.node_id}@{one.host}:{CONTROLLER}:{one.directory}" for one in self.all)
        self.java("kafka.tools.StorageTool", "format", "-t", self.cluster, "-c", config, "--initial-controllers", voters,
                  *(part for name in (USER, "node") for part in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={PASSWORD}]")))
        # As the supervisor has it: Kafka looks up its own name at every SASL login.
        hosts = self.work / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{self.host} {self.host}\n")
        process = self.processes.start("kafka", ["java", f"-Xms{self.heap}", f"-Xmx{self.heap}", "-XX:+UseG1GC", f"-Djdk.net.hosts.file={hosts}",
                                                 "-cp", f"{self.libs}/*", "kafka.Kafka", config])
        self.pids["broker"] = process.pid

    def identity(self, listener, name, clients_of=None):
        """TLS of a listener; of both sides where it says whose certificates clients must have."""
        pem = self.work / f"{name}-keystore.pem"
        pem.write_text((self.pki / f"{name}.key").read_text() + (self.pki / f"{name}.pem").read_text())
        found = {"keystore.type": "PEM", "keystore.location": pem}
        if clients_of:
            found |= {"truststore.type": "PEM", "truststore.location": self.pki / f"{clients_of}-ca.pem", "client.auth": "required"}
        return {f"listener.name.{listener}.ssl.{key}": value for key, value in found.items()}

    def wait_for_kafka(self):
        wait_for("the broker", lambda: (said := self.topics()) is not None and f" {len(self.all)} brokers" in said)

    def java(self, main, *arguments):
        return sh("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{self.libs}/*", main, *arguments)

    def topics(self):
        try:
            return sh("kcat", "-L", "-b", f"{self.host}:{UPSTREAM}", "-m", "2")
        except subprocess.CalledProcessError:
            return None

    def create_topic(self, name, partitions=4):
        self.java("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", f"{self.host}:{UPSTREAM}", "--create", "--if-not-exists",
                  "--topic", name, "--partitions", str(partitions), "--replication-factor", str(len(self.all)), "--config", "retention.bytes=400000000",
                  "--config", "segment.bytes=104857600")

    # --- relays -------------------------------------------------------------------------------------------------

    def start_gateway(self):
        node = self.work / "node"
        node.mkdir(exist_ok=True)
        read = lambda name: (self.pki / name).read_text()
        identity = lambda name, ca: {"certificate_pem": read(f"{name}.pem"), "key_pem": read(f"{name}.key"), "ca_pem": read(f"{ca}-ca.pem")}
        listener = lambda path, port: {"path": path, "bind": f"{self.host}:{port}",
                                       "advertised": [{"node_id": one.node_id, "host": one.host, "port": port} for one in self.all]}
        spec = {
            "generation": 1,
            "identity": {"instance": "ins_01jd9mz5w8e4wahj8k6t3v2q7r", "node_id": self.node_id, "cluster_id": self.cluster, "directory_id": self.directory},
            "kafka": {
                "version": self.kafka_version, "roles": ["broker", "controller"], "rack": "zone-a", "bind": self.host, "internal_host": self.host,
                "initial_controllers": [{"node_id": self.node_id, "directory_id": self.directory, "host": self.host, "port": CONTROLLER}],
                "quorum_bootstrap": [f"{self.host}:{CONTROLLER}"], "jvm": {"heap_bytes": 2 << 30, "fast_start": False},
                "internal_tls": identity("node", "internal"), "super_users": ["User:sluice-control-plane"], "brokers": 1,
                "max_message_bytes": 10485760, "disk_bytes": 100 << 30, "delegation_token_key": "unused-in-benchmarks",
            },
            "gateway": {
                "control": f"{self.host}:9180", "control_tls": identity("node", "internal"),
                "listeners": [listener("private-plaintext", GATEWAY), listener("private-sasl-ssl", GATEWAY_TLS)],
                "server_tls": identity("server", "public"),
                "limits": {"max_login_frame_bytes": 524288, "max_request_bytes": 104857600, "login_timeout_ms": 10000,
                           "idle_timeout_ms": 600000, "max_connections": 100000},
            },
        }
        (node / "spec.json").write_text(json.dumps(spec))
        (node / "spec.json").chmod(0o600)
        process = self.processes.start("gateway", [self.binaries / "sluice-node", "gateway", "--dir", node], pin=0)
        self.pids["gateway"] = process.pid
        wait_for("the gateway", lambda: listening(self.host, GATEWAY) and listening(self.host, GATEWAY_TLS))

    def start_copy_loops(self):
        loop = self.binaries / "examples" / "copy_loop"
        for name, port, upstream, tls in (("copy", COPY, FOR_COPY, []), ("copy-tls", COPY_TLS, FOR_COPY_TLS, [self.pki / "server.pem", self.pki / "server.key"])):
            self.pids[name] = self.processes.start(name, [loop, f"{HOST}:{port}", f"{HOST}:{upstream}", *tls], pin=0).pid
            wait_for(name, lambda port=port: listening(HOST, port))

    def start_kafka_proxy(self):
        """The kafka-proxy on PATH or made by `go install`; left out, and said so, when it cannot be had."""
        proxy = shutil.which("kafka-proxy") or self.tools / "go" / "bin" / "kafka-proxy"
        if not Path(proxy).exists():
            try:
                sh("go", "install", KAFKA_PROXY, env={**os.environ, "GOBIN": str(proxy.parent), "CGO_ENABLED": "0"})
            except (subprocess.CalledProcessError, FileNotFoundError) as error:
                return left_out("kafka-proxy", error)
        common = ["--proxy-request-buffer-size", "65536", "--proxy-response-buffer-size", "65536", "--dynamic-listeners-disable"]
        for name, port, metrics, tls in (
            ("proxy", PROXY, 9180, []),
            ("proxy-tls", PROXY_TLS, 9181, ["--proxy-listener-tls-enable", "--proxy-listener-cert-file", self.pki / "server.pem",
                                            "--proxy-listener-key-file", self.pki / "server.key"]),
        ):
            self.pids[name] = self.processes.start(name, [
                proxy, "server", "--bootstrap-server-mapping", f"{HOST}:{UPSTREAM},{HOST}:{port}",
                "--http-listen-address", f"127.0.0.1:2{metrics}", *common, *tls], pin=0).pid
            wait_for(name, lambda port=port: listening(HOST, port))

    def start_kroxylicious(self):
        """Its runtime from Maven Central, with a launcher of ours; left out, and said so, when it cannot be had."""
        here, work = Path(__file__).parent / "kroxylicious", self.work / "kroxylicious"
        try:
            sh("mvn", "-q", "-B", "-f", here / "pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={work / 'libs'}")
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            return left_out("Kroxylicious", error)
        gateway = lambda port, **more: {"name": f"port-{port}", **more, "portIdentifiesNode": {
            "bootstrapAddress": f"{HOST}:{port}", "advertisedBrokerAddressPattern": HOST}}
        tls = {"key": {"privateKeyFile": str(self.pki / "server.key"), "certificateFile": str(self.pki / "server.pem")}}
        cluster = {"name": "bench", "targetCluster": {"bootstrapServers": f"{HOST}:{UPSTREAM}"},
                   "gateways": [gateway(KROXYLICIOUS), gateway(KROXYLICIOUS_TLS, tls=tls)]}
        # JSON is YAML.
        (work / "configuration.yaml").write_text(json.dumps({"virtualClusters": [cluster]}))
        self.pids["kroxylicious"] = self.processes.start("kroxylicious", ["java", "-Xmx1g", "-cp", f"{work / 'libs'}/*", here / "Proxy.java",
                                                                          work / "configuration.yaml"], pin=0).pid
        wait_for("Kroxylicious", lambda: listening(HOST, KROXYLICIOUS) and listening(HOST, KROXYLICIOUS_TLS))

    # --- ways of a client ---------------------------------------------------------------------------------------

    def way(self, name):
        """Bootstrap address and librdkafka options of a way to reach the broker, and whose CPU counts beside the broker's."""
        ca = ["-X", f"ssl.ca.location={self.pki / 'public-ca.pem'}"]
        tls = ["-X", "security.protocol=ssl", *ca]
        sasl_tls = ["-X", "security.protocol=sasl_ssl", "-X", "sasl.mechanisms=PLAIN", "-X", f"sasl.username={USER}",
                    "-X", f"sasl.password={PASSWORD}", *ca]
        return {
            "direct": (UPSTREAM, [], None), "copy": (COPY, [], "copy"), "proxy": (PROXY, [], "proxy"), "gateway": (GATEWAY, [], "gateway"),
            "kafka tls": (KAFKA_TLS, tls, None), "copy tls": (COPY_TLS, tls, "copy-tls"), "proxy tls": (PROXY_TLS, tls, "proxy-tls"),
            "gateway tls": (GATEWAY_TLS, sasl_tls, "gateway"), "kroxylicious": (KROXYLICIOUS, [], "kroxylicious"),
            "kroxylicious tls": (KROXYLICIOUS_TLS, tls, "kroxylicious"),
        }[name]

    def has(self, name):
        """Whether this way is there: some relays may be left out."""
        relay = self.way(name)[2]
        return relay is None or relay in self.pids


def left_out(peer, error):
    print(f"{peer} is left out: {getattr(error, 'stderr', error)}")
