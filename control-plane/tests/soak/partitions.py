"""The number of partitions that was bought, reached from every gateway and by every way in at once, again and again."""

import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor, wait

from raw_topics import PASSING, POLICY_VIOLATION, UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID, RawTopics
from sluice import check, eventually

CREATORS = 64
# Free at the start of a round, and so what 64 creators fight for.
ROOM = 16
# Through the REST API; each of the others is at a gateway.
BY_REST = 4
MOST_BY_REST = 20
# Some that were to be made were not.
GONE = (UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID)
LATE = (*GONE, 37)
WAYS = ("create", "create", "grow", "use", "delete")


class Instance:
    """An instance at its limit, and what asks it."""

    def __init__(self, world):
        self.world, self.limit, self.made = world, world.instance["spec"]["partitions"], 0
        self.path = world.path(f"instances/{world.instance['id']}/topics")
        self.prefix = f"soak-p1-{world.tag}-"
        self.own, self.lock, self.local = set(), threading.Lock(), threading.local()
        self.watchers = [RawTopics(host) for host in world.hosts]
        self.most, self.done, self.waited = 0, {}, 0.0

    def name(self):
        with self.lock:
            self.made += 1
            return f"{self.prefix}{self.made}"

    def at(self, host):
        """This thread's connection to a gateway."""
        clients = self.local.__dict__.setdefault("clients", {})
        if host not in clients:
            clients[host] = RawTopics(host)
        return clients[host]

    def take(self, rng):
        """A topic for this creator alone: one that is grown and deleted at once has its room held back for half a minute."""
        with self.lock:
            topic = rng.choice(sorted(self.own)) if self.own else None
            self.own.discard(topic)
            return topic

    def note(self, way, is_done):
        with self.lock:
            done, refused = self.done.get(way, (0, 0))
            self.done[way] = (done + is_done, refused + (not is_done))

    def keep(self, name, is_there=True):
        with self.lock:
            (self.own.add if is_there else self.own.discard)(name)

    def rest(self, method, path="", body=None):
        """Status and code, once the room can be told."""
        while True:
            key = {"Idempotency_Key": str(uuid.uuid4())} if method == "POST" else {}
            answer = self.world.api(method, self.path + path, body, **key)
            if answer.status != 503:
                return answer.status, answer.code if answer.status >= 400 else None
            time.sleep(0.2)

    def by_rest(self, rng):
        """Creates, grows or deletes."""
        way = rng.choice(("create", "create", "grow", "delete"))
        victim = self.take(rng) if way in ("grow", "delete") else None
        if victim is None:
            way, name = "create", self.name()
            status, code = self.rest("POST", body={"name": name, "partitions": rng.randint(1, 4)})
        elif way == "grow":
            status, code = self.rest("PATCH", f"/{victim}", {"partitions": rng.randint(2, 6)})
        else:
            status, code = self.rest("DELETE", f"/{victim}")
        if way == "grow" or way == "create" and status < 300:
            self.keep(victim or name)
        check(status in (200, 201, 202, 204) or code in ("partition-limit", "not-found", "validation-failed"), f"REST {way} answered {status} {code}")
        self.note(f"REST {way}", status < 300)

    def by_kafka(self, rng, host):
        way, client, name = rng.choice(WAYS), self.at(host), self.name()
        victim = self.take(rng) if way in ("grow", "delete") else None
        if way == "create":
            error = client.create(name, rng.randint(1, 4))
        elif way == "use":
            error = client.use(name)
        elif victim is None:
            return
        elif way == "grow":
            error = client.grow(victim, rng.randint(2, 6))
        else:
            error = client.delete(victim)
        if way == "grow" or way != "delete" and error != POLICY_VIOLATION:
            self.keep(victim or name)
        check(error in (0, POLICY_VIOLATION, *PASSING, *LATE), f"{way} at {host} is answered by error {error}")
        self.note(way, error == 0)

    def look(self):
        """What each broker shows must never be above."""
        totals = [watcher.total() for watcher in self.watchers]
        self.most = max(self.most, *totals)
        check(self.most <= self.limit, f"{self.most} partitions of {self.limit} were seen")
        return totals

    def fill(self, rng):
        """Takes what is free, one after the other, by any gateway and REST, until all is used; it must be all."""
        began, sizes = time.monotonic(), [5, 1]
        while sizes:
            name = self.name()
            if rng.random() < 0.1:
                status, code = self.rest("POST", body={"name": name, "partitions": sizes[0]})
                is_full = code == "partition-limit"
                check(is_full or status in (201, 202), f"REST answered {status} {code}")
            else:
                error = self.at(rng.choice(self.world.hosts)).create(name, sizes[0])
                check(error in (0, POLICY_VIOLATION, *PASSING), f"a creation is answered by error {error}")
                is_full = error == POLICY_VIOLATION
            sizes.pop(0) if is_full else self.keep(name)
        eventually(f"all {self.limit} are in use at every broker", lambda: set(self.look()) == {self.limit}, 120, 0.02)
        self.waited = max(self.waited, time.monotonic() - began)

    def free(self, rng, room):
        """Deletes at any gateway until so much is free."""
        is_own = lambda name: name.startswith(self.prefix) and name.removeprefix(self.prefix).isdigit()
        sizes = {name: count for name, (_, count) in self.watchers[0].metadata().items() if is_own(name)}
        names, freed = sorted(sizes), 0
        rng.shuffle(names)
        while freed < room and names:
            name = names.pop()
            error = self.at(rng.choice(self.world.hosts)).delete(name)
            check(error in (0, *GONE), f"a deletion is answered by error {error}")
            freed += sizes[name]
            self.keep(name, False)


def at_the_limit(world, rounds):
    """64 creators at once over all gateways and REST, by every request that makes or deletes topics: never above; and what is free can be had."""
    instance, rng = Instance(world), random.Random(71)
    name = world.instance["name"]
    world.sluice("access", "set", name, "--auto-create", "on")
    began = time.monotonic()
    try:
        ballast(instance)
        with ThreadPoolExecutor(CREATORS) as creators:
            for number in range(rounds):
                instance.free(rng, ROOM)
                seeds = [rng.randrange(1 << 30) for _ in range(CREATORS)]
                hosts = world.hosts

                def creator(index):
                    own = random.Random(seeds[index])
                    instance.by_rest(own) if index < BY_REST else instance.by_kafka(own, hosts[index % len(hosts)])

                running = [creators.submit(creator, index) for index in range(CREATORS)]
                while wait(running, timeout=0.05).not_done:
                    instance.look()
                for one in running:
                    one.result()
                instance.look()
                instance.fill(rng)
        # A gateway that heard of a topic's making and of its end in the wrong order holds its room back for a while.
        usage = lambda: world.api("GET", world.path(f"instances/{name}/usage")).json["partitions"]
        eventually("usage says what is there", lambda: usage() == {"used": instance.limit, "limit": instance.limit}, 150)
    finally:
        world.sluice("access", "set", name, "--auto-create", "off")
        for left in [topic for topic in instance.watchers[0].metadata() if topic.startswith(instance.prefix)]:
            instance.watchers[0].delete(left)
    ways = ", ".join(f"{way} {done} done {refused} not" for way, (done, refused) in sorted(instance.done.items()))
    pace = (time.monotonic() - began) / rounds
    return f"{rounds} rounds of {CREATORS} creators: {instance.most} of {instance.limit} at most, all of it used after each, within {instance.waited:.1f} s; {pace:.2f} s a round; {ways}"


def ballast(instance):
    """Large topics that stay, so that little is free."""
    free = instance.limit - instance.watchers[0].total() - 4 * ROOM
    for number in range(max(0, free // MOST_BY_REST)):
        status, code = instance.rest("POST", body={"name": f"{instance.prefix}ballast-{number}", "partitions": MOST_BY_REST})
        check(status in (201, 202), f"REST answered {status} {code}")
