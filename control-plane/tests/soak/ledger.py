"""A producer that writes down what Kafka acknowledged, and what a consumer finds of it afterwards."""

import subprocess
import threading
import time

from clients import program
from sluice import check, eventually, run

KEYS = 20
PARTITIONS = 6


def librdkafka(ledger):
    settings = ["message.timeout.ms=120000", "reconnect.backoff.max.ms=500", "topic.metadata.refresh.interval.ms=5000"]
    return ["kcat", "-b", ledger.bootstrap, "-P", "-t", ledger.topic, "-K:", "-T", *each("-X", *ledger.settings, *settings, *ledger.security)]


def java(ledger):
    # The tool's own defaults are a second to wait for more records, and three attempts.
    settings = ["delivery.timeout.ms=120000", "request.timeout.ms=30000", "retries=2147483647", "reconnect.backoff.max.ms=500"]
    return ledger.world.java_command("ConsoleProducer", "--bootstrap-server", ledger.bootstrap, "--topic", ledger.topic,
                                     *each("--reader-property", "parse.key=true", "key.separator=:"), *each("--command-property", *ledger.settings, *settings))


def franz_go(ledger):
    return [*program("go"), "lines", ledger.bootstrap, ledger.topic]


def each(option, *values):
    return [part for value in values for part in (option, value)]


class Ledger:
    """A client, idempotent and with acks=all, fed line by line; every line must be there once and in its key's order."""

    def __init__(self, world, topic, per_second=400, tls=None, bootstrap=None, client=librdkafka):
        self.world, self.topic, self.pause = world, topic, 1 / per_second
        self.bootstrap = bootstrap or world.instance["bootstrap"]["private_sasl_ssl" if tls else "private_plaintext"]
        self.settings = [f"client.id={topic}", "enable.idempotence=true", "acks=all", "linger.ms=5"]
        # For librdkafka, by which it is read back too.
        self.security = ["security.protocol=sasl_ssl", "sasl.mechanisms=PLAIN", f"sasl.username={world.user}", f"sasl.password={world.password}",
                         f"ssl.ca.location={tls}"] if tls else []
        self.process = subprocess.Popen(client(self), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.sent, self.stop, self.said = 0, threading.Event(), []
        self.threads = [threading.Thread(target=target, daemon=True) for target in (self._feed, self._hear)]
        for thread in self.threads:
            thread.start()

    def _feed(self):
        while not self.stop.wait(self.pause):
            try:
                self.process.stdin.write(f"{self.sent % KEYS}:{self.sent}\n".encode())
                self.process.stdin.flush()
            except BrokenPipeError:
                return
            self.sent += 1

    def _hear(self):
        for line in self.process.stderr:
            self.said.append(line.decode(errors="replace").rstrip())

    def alive(self):
        check(self.process.poll() is None, f"the producer gave up: {self.said[-3:]}")

    def written(self):
        """Records that Kafka has of it."""
        ends = [f"{self.topic}:{partition}:-1" for partition in range(PARTITIONS)]
        ask = lambda: run("kcat", "-Q", "-b", self.bootstrap, *each("-t", *ends), ok=False)
        # A leader that moves this moment tells nothing.
        told = eventually("Kafka tells where the topic ends", lambda: (answer := ask()).returncode == 0 and answer)
        return sum(int(line.split()[-1]) for line in told.stdout.splitlines())

    def at_every_broker(self):
        """Whether it is connected to all: kcat, unlike other clients, gives up when it happens to be connected to none."""
        answer = self.world.api("GET", self.world.path(f"instances/{self.world.instance['id']}/connections?client_id={self.topic}&limit=200"))
        return answer.status == 200 and {one["broker_id"] for one in answer.json["items"]} == {one["id"] for one in self.world.instance["brokers"]}

    def finish(self):
        """How many lines went in, all of them acknowledged and found."""
        self.stop.set()
        self.threads[0].join(10)
        self.process.stdin.close()
        check(self.process.wait(180) == 0, f"the producer ended with {self.process.returncode}: {self.said[-3:]}")
        found = self._read("%k %s\n")
        by_key = {}
        for line in found:
            key, value = line.split(b" ")
            by_key.setdefault(int(key), []).append(int(value))
        for key, values in by_key.items():
            wanted = list(range(key, self.sent, KEYS))
            if values != wanted:
                lost, twice = len(set(wanted) - set(values)), len(values) - len(set(values))
                check(False, f"key {key}: {lost} lost, {twice} twice, in order: {values == sorted(values)}")
        check(sum(map(len, by_key.values())) == self.sent, f"{self.sent} acknowledged, {len(found)} found")
        return self.sent

    def _read(self, form):
        """All that is in the topic, a line a record."""
        return run("kcat", "-b", self.bootstrap, "-C", "-t", self.topic, "-o", "beginning", "-e", "-q", "-f", form, *each("-X", *self.security), timeout=300).stdout.split(b"\n")[:-1]

    def pauses(self, spans):
        """Seconds that each partition got nothing for, at most, in each span of time: by the broker's clock, in a topic with LogAppendTime."""
        times = {}
        for partition, at in (line.split() for line in self._read("%p %T\n")):
            times.setdefault(partition, []).append(int(at) / 1000)
        longest = lambda ats, start, end: max((after - before for before, after in zip(ats, ats[1:]) if start <= after and before <= end), default=0)
        return [longest(ats, *span) for ats in times.values() for span in spans]

    def close(self):
        self.stop.set()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def make_topic(world, name, *options):
    world.make_topic(name, PARTITIONS, *options)
    return name


def until(what, reached):
    """Seconds that it took."""
    began = time.monotonic()
    eventually(what, reached, pause=0.02)
    return time.monotonic() - began


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
