"""Creates or deletes topics for cases of clients that cannot: `topics.py create|delete BOOTSTRAP`.

Reads on standard input a JSON list of {name, partitions, config}. Deleting takes what exists.
"""

import json
import sys
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

WAIT_SECONDS = 30


def main() -> None:
    action, bootstrap = sys.argv[1:]
    topics = json.load(sys.stdin)
    names = {topic["name"] for topic in topics}
    admin = AdminClient({"bootstrap.servers": bootstrap})
    if action == "delete":
        existing = names & set(admin.list_topics(timeout=WAIT_SECONDS).topics)
        for future in (admin.delete_topics(list(existing)) if existing else {}).values():
            future.result()
        return
    wanted = [NewTopic(t["name"], num_partitions=t["partitions"], config=t["config"]) for t in topics]
    for future in admin.create_topics(wanted, request_timeout=WAIT_SECONDS).values():
        future.result()
    # Every broker of the bootstrap list must know every topic and its leader, so that no case starts too early.
    for broker in bootstrap.split(","):
        _wait_until_known(broker, names)


def _wait_until_known(broker: str, names: set[str]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    admin = AdminClient({"bootstrap.servers": broker})
    while True:
        known = admin.list_topics(timeout=WAIT_SECONDS).topics
        missing = [n for n in names if n not in known or any(p.leader < 0 for p in known[n].partitions.values())]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"topics not known at {broker} in time: {missing[:3]}")
        time.sleep(0.2)


if __name__ == "__main__":
    try:
        main()
    except KafkaException as refused:
        raise SystemExit(f"topics: {refused}") from None
