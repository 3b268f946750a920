"""Paths beyond the private network: opened and closed, with producers that must not notice and endpoints that stand for brokers."""

import socket
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager

from sluice import Failed, PlainClient, check


def patch(world, change):
    answer = world.api("PATCH", world.path(f"instances/{world.instance['name']}/access"), change, Idempotency_Key=str(uuid.uuid4()))
    check(answer.status == 202, f"{change} answered {answer.status}: {answer.body[:300]}")
    job = world.wait_job(answer.json["id"])
    check(job["state"] == "succeeded", f"{change}: {job['problem']}")


def open_all(world):
    """Every port; by 9011 this machine's own clients come, as an account's."""
    patch(world, {"public_plaintext": True, "public_sasl_ssl": True, "cross_network": True,
                  "endpoint_accounts": [{"account": world.project, "ips": ["127.0.0.1"]}]})


def close_all(world):
    """Waits for whatever changes the access just now."""
    deadline = time.monotonic() + 60
    while world.api("GET", world.path(f"instances/{world.instance['name']}")).json["active_job_id"]:
        check(time.monotonic() < deadline, "a change of the access does not end")
        time.sleep(0.1)
    patch(world, {"public_plaintext": None, "public_sasl_ssl": None, "cross_network": None, "cross_network_addresses": None,
                  "endpoint_accounts": None})


def public_hosts(world):
    brokers = world.api("GET", world.path(f"instances/{world.instance['name']}")).json["brokers"]
    return [broker["public_host"] for broker in brokers if broker["public_host"]]


def gets_in(world, host, port):
    """Whether a client that verifies the certificate can log in there."""
    try:
        return PlainClient.log_in(host, world.ca, world.user, world.password, port) is not None
    except (OSError, Failed):
        return False


def public_is_open(world):
    """By both ports of every broker."""
    hosts = public_hosts(world)
    return len(hosts) == 3 and all(PlainClient.anonymous(host, 9094) and gets_in(world, host, 9095) for host in hosts)


@contextmanager
def producers(world, topic):
    """kcat on 9092 and on 9093, a message every 10 ms with acks=all; how many each wrote is known at the end."""
    bootstrap, written, stop = world.instance["bootstrap"], [0, 0], threading.Event()
    sasl = ["-X", "security.protocol=sasl_ssl", "-X", "sasl.mechanisms=PLAIN", "-X", f"sasl.username={world.user}",
            "-X", f"sasl.password={world.password}", "-X", f"ssl.ca.location={world.ca}", "-X", "ssl.endpoint.identification.algorithm=https"]
    commands = [["-b", bootstrap["private_plaintext"]], ["-b", bootstrap["private_sasl_ssl"], *sasl]]
    started = [subprocess.Popen(["kcat", "-P", "-t", topic, "-X", "acks=all", *command], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
               for command in commands]

    def write(at):
        while not stop.is_set():
            started[at].stdin.write(f"{at} {written[at]}\n".encode())
            started[at].stdin.flush()
            written[at] += 1
            time.sleep(0.01)

    writers = [threading.Thread(target=write, args=(at,), daemon=True) for at in range(2)]
    for writer in writers:
        writer.start()
    try:
        yield written
    finally:
        stop.set()
        for writer in writers:
            writer.join(10)
    for producer in started:
        _, errors = producer.communicate(timeout=60)
        check(producer.returncode == 0 and b"ERROR" not in errors, f"a producer saw an error: {errors[-300:]}")


@contextmanager
def endpoints(brokers, source):
    """An address in another network for each broker, as a cloud's endpoints are: what comes there goes on to 9011 from `source`."""
    listeners = []

    def pump(reader, writer):
        try:
            while data := reader.recv(65536):
                writer.sendall(data)
        except OSError:
            pass
        for end in (reader, writer):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve(listener, broker):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                upstream = socket.create_connection((broker, 9011), timeout=10, source_address=(source, 0))
                upstream.settimeout(None)
            except OSError:
                client.close()
                continue
            for one, other in ((client, upstream), (upstream, client)):
                threading.Thread(target=pump, args=(one, other), daemon=True).start()

    try:
        for number, broker in enumerate(brokers):
            listener = socket.create_server((f"127.0.90.{number + 1}", 9100 + number))
            listeners.append(listener)
            threading.Thread(target=serve, args=(listener, broker), daemon=True).start()
        yield ["%s:%d" % listener.getsockname() for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()
