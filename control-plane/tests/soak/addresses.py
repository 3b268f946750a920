"""Addresses that clients are told, read off the wire: every request that is answered with some, in every version that is offered."""

import re
import struct

from ledger import until
from raw_topics import Reader, text
from sluice import PlainClient, check

# Kafka's own listener for what plaintext clients say, behind the gateway (broker/api/src/ports.rs).
BEHIND = 9192
API_VERSIONS, METADATA = 18, 3
NOT_LEADER, FENCED_EPOCH = 6, 74
TAGS = b"\0"
ADDRESS = re.compile(rb"\d{1,3}(?:\.\d{1,3}){3}")
# Of a share group: an id as Kafka writes them.
MEMBER = "AQEBAQEBAQEBAQEBAQEBAQ"
# A batch of one record with a wrong checksum: a leader would not keep it.
RECORD = bytes([12, 0, 0, 0, 1, 0, 0])
BATCH = struct.pack(">qiibIhiqqqhii", 0, 49 + len(RECORD), -1, 2, 0, 0, 0, 0, 0, -1, -1, -1, 1) + RECORD


def compact(value):
    data = value if isinstance(value, bytes) else value.encode()
    check(len(data) < 127, "its length does not fit into a byte")
    return bytes([len(data) + 1]) + data


def array(*items):
    return bytes([len(items) + 1]) + b"".join(items)


def told(answer, port):
    """Every address in it, with the port that follows; its form is Python's."""
    return {f"{found.group().decode()}:{struct.unpack_from('>' + port, answer, found.end())[0]}" for found in ADDRESS.finditer(answer)}


class Topic:
    """A topic, and one of its partitions that the broker does not lead."""

    def __init__(self, name, identity, partition):
        self.name, self.id, self.partition = name, identity, partition


def metadata(version, topic):
    if version < 9:
        return struct.pack(">i", 1) + text(topic.name) + bytes((version >= 4) + 2 * (version >= 8))
    return array((bytes(16) if version >= 10 else b"") + compact(topic.name) + TAGS) + bytes(3 if version < 11 else 2) + TAGS


def find_coordinator(version, topic):
    group = f"{topic.name}-group"
    if version >= 4:
        return b"\0" + array(compact(group)) + TAGS
    return compact(group) + b"\0" + TAGS if version == 3 else text(group) + bytes(version >= 1)


def describe_cluster(version, _):
    return b"\0" + (b"\1" if version >= 1 else b"") + bytes(version >= 2) + TAGS


def describe_quorum(_, __):
    return array(compact("__cluster_metadata") + array(struct.pack(">i", 0) + TAGS) + TAGS) + TAGS


def produce(version, topic):
    partition = struct.pack(">i", topic.partition) + compact(BATCH) + TAGS
    return b"\0" + struct.pack(">hi", 1, 1000) + array((topic.id if version >= 13 else compact(topic.name)) + array(partition) + TAGS) + TAGS


def fetch(_, topic):
    # Consumers may read from any replica; who names a leader's epoch that is over is told the leader.
    partition = struct.pack(">iiqiqi", topic.partition, 0, 0, -1, -1, 1 << 20) + TAGS
    return struct.pack(">iiibii", 0, 0, 1 << 20, 0, 0, -1) + array(topic.id + array(partition) + TAGS) + array() + compact("") + TAGS


def share_fetch(version, topic):
    limits = struct.pack(">iiiiii", 0, 0, 0, 1 << 20, 1, 1) + bytes(2 if version >= 2 else 0)
    partition = struct.pack(">i", topic.partition) + array() + TAGS
    return compact(f"{topic.name}-share") + compact(MEMBER) + limits + array(topic.id + array(partition) + TAGS) + array() + TAGS


class Api:
    """`flexible` from which version on; `port` as it follows a host; `error` where it is beside one that the answer tells an address."""

    def __init__(self, key, make, flexible, since=0, port="i", error=None):
        self.key, self.make, self.flexible, self.since, self.port, self.error = key, make, flexible, since, port, error

    def ask(self, client, version, topic):
        return client.answer(self.key, version, (TAGS if version >= self.flexible else b"") + self.make(version, topic))


APIS = [
    Api(METADATA, metadata, 9),
    Api(10, find_coordinator, 3),
    Api(60, describe_cluster, 0),
    Api(55, describe_quorum, 0, since=2, port="H"),
    Api(0, produce, 9, since=10, error=NOT_LEADER),
    Api(1, fetch, 12, since=16, error=FENCED_EPOCH),
    Api(78, share_fetch, 0, since=1, error=NOT_LEADER),
]


class Sniffer:
    """A connection to every broker by 9092 and by 9093, and one to Kafka itself, past the gateway."""

    def __init__(self, world, topic):
        self.topic, self.seen = topic, {}
        log_in = lambda host: PlainClient.log_in(host, world.ca, world.user, world.password)
        self.ways = [({host: connect(host) for host in world.hosts}, set(world.instance["bootstrap"][way].split(",")))
                     for connect, way in ((PlainClient.anonymous, "private_plaintext"), (log_in, "private_sasl_ssl"))]
        self.behind = {host: PlainClient.anonymous(host, BEHIND) for host in world.hosts}
        check(all(client for clients, _ in self.ways for client in clients.values()) and all(self.behind.values()), "a client is not served")
        offered = Reader(next(iter(self.ways[0][0].values())).answer(API_VERSIONS, 0, b""))
        offered.take("h")
        versions = {key: (first, last) for key, first, last in offered.many(lambda: tuple(offered.take("h") for _ in range(3)))}
        self.kinds = [(api, version) for api in APIS for version in range(max(api.since, versions[api.key][0]), versions[api.key][1] + 1)]
        check({api for api, _ in self.kinds} == set(APIS), f"not all of it is offered: {versions}")
        answer = APIS[0].ask(self.behind[world.hosts[0]], 12, Topic(topic, None, 0))
        at = answer.index(topic.encode()) + len(topic)
        self.id = answer[at:at + 16]

    def look(self, followed):
        """`followed` has a partition for each broker that another one leads."""
        for host, partition in followed.items():
            topic = Topic(self.topic, self.id, partition)
            for api, version in self.kinds:
                self.compare(host, topic, api, version)

    def compare(self, host, topic, api, version):
        what = f"{api.make.__name__} v{version} at {host}"
        # Or what clients are not told would prove nothing. A broker may hear of a new leader a moment later than others.
        until(f"Kafka tells addresses in {what}", lambda: told(api.ask(self.behind[host], version, topic), api.port))
        direct = api.ask(self.behind[host], version, topic)
        check(told(direct, api.port), f"Kafka tells no address any more in {what}")
        for clients, addresses in self.ways:
            answer = api.ask(clients[host], version, topic)
            found = told(answer, api.port)
            check(found <= addresses, f"{what} tells {found - addresses}")
            if api.error:
                error = struct.pack(">ih", topic.partition, api.error)
                check(error in direct and error in answer, f"{what} is not answered by error {api.error}")
            check(len(found) == len(told(direct, api.port)), f"{what} tells {found} for {told(direct, api.port)}")
            self.seen[api.key, version] = self.seen.get((api.key, version), 0) + 1

    def close(self):
        for client in [*self.behind.values(), *(client for clients, _ in self.ways for client in clients.values())]:
            client.connection.close()

    def figures(self):
        return f"{sum(self.seen.values())} answers of {len(self.seen)} requests and versions by 9092 and 9093"
