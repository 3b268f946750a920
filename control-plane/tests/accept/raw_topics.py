"""Topics by Kafka's own requests over one connection of one gateway: what an AdminClient sends, without a JVM."""

import struct

from sluice import PlainClient, check

# Of Kafka's requests, and of its errors.
METADATA, CREATE_TOPICS, DELETE_TOPICS, CREATE_PARTITIONS = 3, 19, 20, 37
UNKNOWN_TOPIC, LEADER_NOT_AVAILABLE, POLICY_VIOLATION, UNKNOWN_TOPIC_ID = 3, 5, 44, 100
# The controller moves, or a broker has not heard yet of what was made or deleted a moment ago.
PASSING = (-1, 5, 6, 7, 41)
PATIENCE_MS = 10_000


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def texts(values):
    return struct.pack(">i", len(values)) + b"".join(map(text, values))


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value, = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def string(self):
        length = self.take("h")
        self.at += max(0, length)
        return self.data[self.at - length:self.at].decode() if length >= 0 else None

    def many(self, one):
        return [one() for _ in range(self.take("i"))]


class RawTopics:
    """Answers are Kafka's error codes; 0 is none."""

    def __init__(self, host, client=None):
        """Without a login, or as who is logged in by `client`."""
        self.host, self.client = host, client or PlainClient.anonymous(host)
        check(self.client, f"{host} serves nobody")
        self.client.connection.settimeout(60)

    def close(self):
        self.client.connection.close()

    def told(self, key, version, body, has_message=True):
        """The error of the only topic, after a throttle time and the name; what it says is in `message`."""
        answer = Reader(self.client.answer(key, version, body))
        answer.take("i")
        (error, self.message), = answer.many(lambda: (answer.string(), answer.take("h"), answer.string() if has_message else None)[1:])
        return error

    def create(self, name, partitions):
        wanted = text(name) + struct.pack(">ihii", partitions, -1, 0, 0)
        return self.told(CREATE_TOPICS, 4, struct.pack(">i", 1) + wanted + struct.pack(">i?", PATIENCE_MS, False))

    def grow(self, name, partitions):
        wanted = text(name) + struct.pack(">ii", partitions, -1)
        return self.told(CREATE_PARTITIONS, 1, struct.pack(">i", 1) + wanted + struct.pack(">i?", PATIENCE_MS, False))

    def delete(self, name):
        return self.told(DELETE_TOPICS, 3, texts([name]) + struct.pack(">i", PATIENCE_MS), has_message=False)

    def metadata(self, names=None, makes=False):
        """Error and number of partitions by topic, of all that are not internal or of those that are named."""
        asked = struct.pack(">i", -1) if names is None else texts(names)
        r = Reader(self.client.answer(METADATA, 4, asked + struct.pack(">?", makes)))
        r.take("i")
        r.many(lambda: (r.take("i"), r.string(), r.take("i"), r.string()))
        r.string()
        r.take("i")
        replicas = lambda: r.many(lambda: r.take("i"))
        partition = lambda: (r.take("h"), r.take("i"), r.take("i"), replicas(), replicas())
        found = r.many(lambda: (r.take("h"), r.string(), r.take("b"), r.many(partition)))
        return {name: (error, len(partitions)) for error, name, _, partitions in found if names or not name.startswith("__")}

    def use(self, name):
        """Names a missing topic as a producer does, and once more if it is told to: then what was made for it is made."""
        error, _ = self.metadata([name], makes=True)[name]
        # The gateway asks for the topic between two requests of the connection: this is the second one.
        return self.metadata([name])[name][0] if error == LEADER_NOT_AVAILABLE else error

    def total(self):
        return sum(partitions for _, partitions in self.metadata().values())
