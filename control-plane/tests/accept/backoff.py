"""Row D6: clients that are refused come again ever more slowly, and are served as soon as there is a place."""

import subprocess
import time

from paths import endpoints
from sluice import PlainClient, check

# An address whose places are all taken.
CROWDED = "127.0.0.88"
WATCHED = 10
# Without waiting in between, a client comes some hundred times a second.
A_SECOND = 4


def refused_clients_wait(world):
    """A client of Java and one of librdkafka, each by an address of its own that counts how often it comes."""
    host, topic = world.hosts[0], f"patient-{world.tag}"
    world.make_topic(topic)
    came, crowd, clients = [0, 0], [], []

    def count(number):
        came[number] += 1

    try:
        while len(crowd) < 201 and (line := PlainClient.anonymous(host, source=CROWDED)):
            crowd.append(line)
        check(len(crowd) == 200, f"{len(crowd)} connections of one address were served")
        with endpoints([host, host], CROWDED, 9092, count) as doors:
            reads = world.java_command("consumer.ConsoleConsumer", "--bootstrap-server", doors[0], "--topic", topic, "--from-beginning", "--max-messages", "1")
            # Without -E kcat ends as soon as nobody serves it; the library would go on.
            writes = ["kcat", "-E", "-b", doors[1], "-P", "-t", topic, "-X", "acks=all"]
            for command in (reads, writes):
                clients.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
            clients[1].stdin.write(b"at last\n")
            clients[1].stdin.close()
            clients[1].stdin = None
            started = time.monotonic()
            while not all(came):
                check(time.monotonic() - started < 60, f"the clients came {came} times in 60 s")
                check([client.poll() for client in clients] == [None, None], "a client ended before it was served")
                time.sleep(0.05)
            before = list(came)
            # What is measured is how often they come in this time.
            time.sleep(WATCHED)
            again = [now - then for now, then in zip(came, before)]
            check([client.poll() for client in clients] == [None, None], "a client gave up, or was served while there was no place")
            check(max(again) <= A_SECOND * WATCHED, f"refused, Java came {again[0]} times in {WATCHED} s, librdkafka {again[1]}")
            for line in crowd:
                line.connection.close()
            _, said = clients[1].communicate(timeout=60)
            check(clients[1].returncode == 0, f"librdkafka was not served once there were places: {said[-300:]}")
            read, said = clients[0].communicate(timeout=60)
            check(clients[0].returncode == 0 and read == b"at last\n", f"Java was not served once there were places: {said[-300:]}")
    finally:
        for line in crowd:
            line.connection.close()
        for client in clients:
            client.kill()
            client.wait()
    return f"refused, Java came {again[0]} times in {WATCHED} s, librdkafka {again[1]}, and both were served once they could be"
