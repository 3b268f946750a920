"""Rows D1, D2 and D8: ways in, opened and closed with producers that must not notice and endpoints that stand for brokers."""

import json
import socket
import ssl
import struct
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from authorisation import LiveProducer
from rows import row, within
from sluice import Failed, PlainClient, check, eventually


@row("D1")
def ports(world):
    """Every port by a real client: what it is told, and a message there and back."""
    name = world.instance["name"]
    open_all(world)
    try:
        bootstrap = world.api("GET", world.path(f"instances/{name}")).json["bootstrap"]
        topic = f"ports-{world.tag}"
        world.make_topic(topic)
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
        close_all(world)
    return "9092, 9093, 9094, 9095, 9011"


@row("D2")
def switches(world):
    """Ports and addresses, on and off under clients that must not notice."""
    name = world.instance["name"]
    brokers = world.hosts
    processes = world.jvms()
    waits = by_either_hand(world)
    bystanders = [PlainClient.log_in(broker, world.ca, world.user, world.password) for broker in brokers]
    unharmed = lambda: [client.ask(18, 0, b"") for client in bystanders] == [0] * len(bystanders)
    until = lambda what, change, done: waits.append(in_force(world, what, change, done, unharmed))

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
    world.make_topic(topic)
    with producers(world, topic) as written:
        for _ in range(3):
            until("public access on", {"public_plaintext": True, "public_sasl_ssl": True}, lambda: public_is_open(world))
            hosts = public_hosts(world)
            open_ones = [PlainClient.anonymous(host, 9094) for host in hosts]
            open_ones += [PlainClient.log_in(host, world.ca, world.user, world.password, 9095) for host in hosts]
            until("public access off", {"public_plaintext": None, "public_sasl_ssl": None},
                  lambda: all(client.closed() for client in open_ones) and not any(PlainClient.anonymous(host, port) for host in hosts for port in (9094, 9095)))
            check(public_hosts(world) == [], "public addresses are kept that no port uses")
    check(all(count > 50 for count in written), f"producers wrote {written} messages, too few to prove anything")
    stored = world.kcat("-C", "-t", topic, "-e", "-q").stdout.count(b"\n")
    check(stored == sum(written), f"{sum(written)} messages were written, {stored} are there")

    every = {"private_plaintext": False, "private_sasl_ssl": False}
    both = world.api("PATCH", world.path(f"instances/{name}/access"), every, Idempotency_Key=str(uuid.uuid4()))
    check(both.status == 422, f"closing every way in answered {both.status}")
    check("on" in world.sluice("access", "get", name).stdout.decode(), "the command line does not tell")
    check(unharmed(), "connections of the other ways in were harmed")
    mechanisms = plain_is_switched(world)
    check(world.jvms() == processes, "a broker restarted")
    return (f"9092, 9093, public access, addresses: in force on every broker {within(max(waits))}; "
            f"a mechanism off and on beside a producer by another {within(mechanisms)}")


def plain_is_switched(world):
    """PLAIN off and on again beside a Java producer by SCRAM and connections by 9092; the longest time until every broker did so."""
    name, brokers, topic, waits = world.instance["name"], world.hosts, f"mechanisms-{world.tag}", []
    others = ["SCRAM-SHA-256", "SCRAM-SHA-512"]
    world.make_topic(topic)
    producer = LiveProducer(world, topic, world.java_properties("SCRAM-SHA-512", name="mechanisms"))

    def by_scram():
        listed = world.api("GET", world.path(f"instances/{name}/connections?user={world.user}&limit=200")).json["items"]
        return {connection["id"] for connection in listed if connection["mechanism"] == "SCRAM-SHA-512"}

    until = lambda what, mechanisms, done: waits.append(in_force(world, what, {"mechanisms": mechanisms}, done))

    try:
        consumed = lambda: world.kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q").stdout.count(b"live-")
        eventually("the producer writes", consumed)
        anonymous = [PlainClient.anonymous(broker) for broker in brokers]
        scram = by_scram()
        check(scram, "the producer is not listed as one who logged in by SCRAM")
        for _ in range(3):
            by_plain = [PlainClient.log_in(broker, world.ca, world.user, world.password) for broker in brokers]
            check(all(by_plain), "PLAIN is not on")
            plan = world.sluice("access", "set", name, "--mechanisms", ",".join(others), "--dry-run").stdout.decode()
            check(f"{world.user} by PLAIN: " in plan, f"the plan does not say who loses connections: {plan}")
            until("PLAIN off", others, lambda: all(client.closed() for client in by_plain)
                  and all(handshake(world, broker, "PLAIN") == (33, others) for broker in brokers))
            shown = world.sluice("access", "get", name).stdout.decode()
            check("SCRAM-SHA-512, SCRAM-SHA-256" in shown and "PLAIN" not in shown, f"the command line does not tell: {shown}")
            if len(waits) == 1:
                refused = world.java("TopicCommand", "--list", "--command-config", world.java_properties("PLAIN"), way="private_sasl_ssl", ok=False)
                said = (refused.stdout + refused.stderr).decode()
                check(refused.returncode != 0 and "UnsupportedSaslMechanismException" in said and others[0] in said,
                      f"Java is not told which mechanisms are on: {said[-300:]}")
            until("PLAIN on", None, lambda: all(gets_in(world, broker, 9093) for broker in brokers))
        check([client.ask(18, 0, b"") for client in anonymous] == [0] * len(brokers), "connections by 9092 were harmed")
        check(scram <= by_scram(), "connections by SCRAM were harmed")
    finally:
        patch(world, {"mechanisms": None})
        written = producer.finish()
    check(consumed() == written, f"the producer wrote {written} messages, {consumed()} are there")
    return max(waits)


def handshake(world, host, mechanism):
    """The error, and the mechanisms that are on, which a client is answered that chooses this one on 9093."""
    context, name = ssl.create_default_context(cafile=str(world.ca)), mechanism.encode()
    with context.wrap_socket(socket.create_connection((host, 9093), timeout=10), server_hostname=host) as connection:
        answer = PlainClient(connection).answer(17, 1, struct.pack(">h", len(name)) + name)
    error, count = struct.unpack(">hi", answer[:6])
    names, at = [], 6
    for _ in range(count):
        end = at + 2 + struct.unpack(">h", answer[at:at + 2])[0]
        names.append(answer[at + 2:end].decode())
        at = end
    return error, names


@row("D8")
def across_networks(world):
    """Endpoints in another network stand for brokers; only those of accounts on the list get through."""
    name, account = world.instance["name"], world.project
    brokers = world.hosts
    ids = [broker["id"] for broker in world.instance["brokers"]]
    topic = f"across-{world.tag}"
    world.make_topic(topic)
    with endpoints(brokers, source="127.0.90.200") as told:
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
            check(not any(gets_in(world, broker, 9011) for broker in brokers), "9011 let somebody in who comes from no endpoint")

            log_in = lambda address: PlainClient.log_in(address.rsplit(":", 1)[0], world.ca, world.user, world.password, int(address.rsplit(":", 1)[1]))
            inside = [log_in(address) for address in told]
            bystanders = [PlainClient.log_in(broker, world.ca, world.user, world.password) for broker in brokers]
            began = time.monotonic()
            world.api("PATCH", world.path(f"instances/{name}/access"), {"endpoint_accounts": None}, Idempotency_Key=str(uuid.uuid4()))
            while not all(client.closed() for client in inside):
                check(time.monotonic() - began < 10, "connections of an account that left the list go on")
            took = time.monotonic() - began
            check([client.ask(18, 0, b"") for client in bystanders] == [0] * len(brokers), "connections by 9093 were harmed")
        finally:
            close_all(world)
    check("off" in next(line for line in world.sluice("access", "get", name).stdout.decode().splitlines() if "9011" in line), "9011 is still on")
    return f"addresses of endpoints, allow-list in force {within(took)}"



# Of many switches on a machine that does other things, half are in force within what is wanted of each.
HALF_WITHIN = 2


def by_either_hand(world):
    """9093 under a producer of 9092, and who may connect at all: by REST and by the command line. How long each took to be in force."""
    name, brokers, waits = world.instance["name"], world.hosts, []
    anonymous = lambda source=None: [PlainClient.anonymous(broker, source=source) for broker in brokers]
    users = lambda: [PlainClient.log_in(broker, world.ca, world.user, world.password) for broker in brokers]
    let_in = lambda: [gets_in(world, broker, 9093) for broker in brokers]
    by_rest = lambda **change: patch(world, change)
    by_command = lambda *options: world.sluice("access", "set", name, *options)

    def until(what, done, bystanders, change, *arguments, **fields):
        """Asked for and watched at the same time: what clients see counts, from when it is asked for."""
        began = time.monotonic()
        with ThreadPoolExecutor(1) as other:
            asked = other.submit(change, *arguments, **fields)
            while True:
                tried = time.monotonic()
                if asked.done():
                    asked.result()
                check(tried - began < 10, f"{what}: not in force after 10 s")
                if done():
                    break
            waits.append(tried - began)
            asked.result()
        check([client.ask(18, 0, b"") for client in bystanders] == [0] * len(bystanders), f"{what}: connections of the other ways in were harmed")

    # 9093, under connections and a producer of 9092.
    topic, others = f"by-hand-{world.tag}", anonymous()
    world.make_topic(topic)
    with producers(world, topic, ["private_plaintext"]) as written:
        for switch in (lambda is_on: by_command("--sasl-ssl", "on" if is_on else "off"), lambda is_on: by_rest(private_sasl_ssl=is_on)):
            held = users()
            check(all(held), "9093 is not open")
            until("9093 off", lambda: all(client.closed() for client in held) and not any(let_in()), others, switch, False)
            until("9093 on", lambda: all(let_in()), others, switch, True)
    check(written[0] > 50, f"the producer wrote {written} messages, too few to prove anything")
    stored = world.kcat("-C", "-t", topic, "-e", "-q").stdout.count(b"\n")
    check(stored == written[0], f"{written[0]} messages were written, {stored} are there")

    # The other switches by the command line, under connections of 9093.
    bystanders, held = users(), anonymous()
    until("9092 off", lambda: all(client.closed() for client in held) and not any(anonymous()), bystanders, by_command, "--plaintext", "off")
    until("9092 on", lambda: all(anonymous()), bystanders, by_command, "--plaintext", "on")
    until("public access on", lambda: public_is_open(world), bystanders, by_command, "--public-plaintext", "on", "--public-sasl-ssl", "on")
    held = [PlainClient.anonymous(host, 9094) for host in public_hosts(world)]
    until("public access off", lambda: all(client.closed() for client in held), bystanders, by_command, "--public-plaintext", "off", "--public-sasl-ssl", "off")

    # Who is on no list, who is in a network that is, and who is on the other list.
    guest, neighbour = "127.0.0.77", "127.0.0.66"
    shut_out = lambda held, source: all(client.closed() for client in held) and not any(anonymous(source))
    guests, neighbours = anonymous(guest), anonymous(neighbour)
    check(all(guests + neighbours), "another address cannot connect")
    try:
        until("a list of who may", lambda: shut_out(guests, guest), bystanders + neighbours, by_command, "--allow", "127.0.0.1,127.0.0.64/29")
        check(all(anonymous(neighbour)), "who is in a network of the list is refused")
        until("another list of who may", lambda: all(anonymous(guest)) and shut_out(neighbours, neighbour), bystanders, by_rest, allow_ips=["127.0.0.1", guest])
    finally:
        patch(world, {"allow_ips": None})
    check(all(anonymous(neighbour)), "the list was lifted, and an address is still refused")
    guests = anonymous(guest)
    until("an address denied", lambda: shut_out(guests, guest), bystanders, by_command, "--deny", guest)
    until("no address denied", lambda: all(anonymous(guest)), bystanders, by_command, "--deny", "none")
    middle = sorted(waits)[len(waits) // 2]
    check(middle < HALF_WITHIN, f"half of {len(waits)} switches took longer than {middle:.2f} s")
    return waits


def in_force(world, what, change, done, unharmed=lambda: True):
    """Changes the access, and tells how long it took until `done`. Those who must not notice are asked all the while."""
    began = time.monotonic()
    job = world.api("PATCH", world.path(f"instances/{world.instance['name']}/access"), change, Idempotency_Key=str(uuid.uuid4()))
    check(job.status == 202, f"{what} answered {job.status} {job.code}")
    while True:
        tried = time.monotonic()
        check(tried - began < 10, f"{what}: not in force after 10 s")
        if done():
            break
        check(unharmed(), f"{what}: connections of the other ways in were harmed")
    check(world.wait_job(job.json["id"])["state"] == "succeeded", f"the job of {what} failed")
    return tried - began


def patch(world, change):
    """Waits for whatever changes the instance just now."""
    eventually("changes of the instance have ended", lambda: not world.api("GET", world.path(f"instances/{world.instance['name']}")).json["active_job_id"])
    answer = world.api("PATCH", world.path(f"instances/{world.instance['name']}/access"), change, Idempotency_Key=str(uuid.uuid4()))
    check(answer.status == 202, f"{change} answered {answer.status}: {answer.body[:300]}")
    job = world.wait_job(answer.json["id"])
    check(job["state"] == "succeeded", f"{change}: {job['problem']}")


def open_all(world):
    """Every port; by 9011 this machine's own clients come, as an account's."""
    patch(world, {"public_plaintext": True, "public_sasl_ssl": True, "cross_network": True,
                  "endpoint_accounts": [{"account": world.project, "ips": ["127.0.0.1"]}]})


def close_all(world):
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
def producers(world, topic, ways=("private_plaintext", "private_sasl_ssl")):
    """kcat on 9092 and on 9093, a message every 10 ms with acks=all; how many each wrote is known at the end."""
    bootstrap, written, stop = world.instance["bootstrap"], [0] * len(ways), threading.Event()
    sasl = ["-X", "security.protocol=sasl_ssl", "-X", "sasl.mechanisms=PLAIN", "-X", f"sasl.username={world.user}",
            "-X", f"sasl.password={world.password}", "-X", f"ssl.ca.location={world.ca}", "-X", "ssl.endpoint.identification.algorithm=https"]
    commands = [["-b", bootstrap[way], *(sasl if way.endswith("sasl_ssl") else [])] for way in ways]
    started = [subprocess.Popen(["kcat", "-P", "-t", topic, "-X", "acks=all", *command], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
               for command in commands]

    def write(at):
        while not stop.is_set():
            started[at].stdin.write(f"{at} {written[at]}\n".encode())
            started[at].stdin.flush()
            written[at] += 1
            time.sleep(0.01)

    writers = [threading.Thread(target=write, args=(at,), daemon=True) for at in range(len(ways))]
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
def endpoints(brokers, source, port=9011, came=lambda number: None, introduce=lambda client, broker: b""):
    """An address in another network for each broker, as a cloud's endpoints are: what comes there goes on to 9011 from `source`, behind
    what `introduce` says of the addresses. Whoever comes is told to `came`, with the number of the endpoint."""
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

    def serve(listener, broker, number):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            came(number)
            try:
                upstream = socket.create_connection((broker, port), timeout=10, source_address=(source, 0))
                upstream.settimeout(None)
                upstream.sendall(introduce(client.getpeername(), upstream.getpeername()))
            except OSError:
                client.close()
                continue
            for one, other in ((client, upstream), (upstream, client)):
                threading.Thread(target=pump, args=(one, other), daemon=True).start()

    try:
        for number, broker in enumerate(brokers):
            listener = socket.create_server((f"127.0.90.{number + 1}", 9100 + number))
            listeners.append(listener)
            threading.Thread(target=serve, args=(listener, broker, number), daemon=True).start()
        yield ["%s:%d" % listener.getsockname() for listener in listeners]
    finally:
        for listener in listeners:
            # Else the thread that waits for the next client keeps the port.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
