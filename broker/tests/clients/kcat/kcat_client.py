"""kcat, the command line over the system's librdkafka. Reads its plan on standard input."""

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from case import Case, equal, expect, run_plan  # noqa: E402

WAIT_SECONDS = 30


def kcat(case: Case, *arguments: str, records: str = "", password: str | None = None) -> subprocess.CompletedProcess:
    """Settings travel in a file that only kcat sees: a password on the command line would be in every process list."""
    settings = {"bootstrap.servers": case.bootstrap}
    if case.path == "sasl-ssl":
        settings |= {
            "security.protocol": "SASL_SSL", "sasl.mechanism": case.mechanism, "sasl.username": case.user,
            "sasl.password": password or os.environ["KAFKA_PASSWORD"], "ssl.ca.location": case.ca,
            "ssl.endpoint.identification.algorithm": "https",
        }
    reader, writer = os.pipe()
    os.write(writer, "".join(f"{key}={value}\n" for key, value in settings.items()).encode())
    os.close(writer)
    try:
        return subprocess.run(["kcat", "-F", f"/dev/fd/{reader}", *arguments], input=records, text=True, capture_output=True,
                              timeout=WAIT_SECONDS, pass_fds=[reader])
    finally:
        os.close(reader)


def succeed(ended: subprocess.CompletedProcess) -> str:
    expect(ended.returncode == 0, f"kcat ended with {ended.returncode}: {ended.stderr[-300:]}")
    return ended.stdout


def consume(case: Case) -> list[str]:
    return succeed(kcat(case, "-C", "-t", case.topic, "-o", "beginning", "-e", "-q", "-f", "%k:%s\n")).splitlines()


def round_trip(case: Case) -> None:
    records = [f"key-{i}:value-{i}" for i in range(100)]
    succeed(kcat(case, "-P", "-t", case.topic, "-K:", "-X", "acks=all", records="\n".join(records) + "\n"))
    equal(records, consume(case), "records")
    case.trace("100 records came back in order with keys and values")


def compression(case: Case) -> None:
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    for codec in codecs:
        succeed(kcat(case, "-P", "-t", case.topic, "-K:", "-z", codec, records=f"{codec}:{'compressible ' * 80}\n" * 20))
    found = consume(case)
    for codec in codecs:
        count = sum(record.startswith(codec + ":") for record in found)
        case.trace(f"{codec}: {count} records")
        equal(20, count, codec)


def admin(case: Case) -> None:
    metadata = json.loads(succeed(kcat(case, "-L", "-J")))
    equal(case.brokers, {broker["name"] for broker in metadata["brokers"]}, "metadata")
    case.trace("metadata: every broker, at its address on this path")


def wrong_password(case: Case) -> None:
    ended = kcat(case, "-L", "-m", "5", password="not-the-password")
    expect(ended.returncode != 0, "was let in")
    expect("uthentication" in ended.stderr, f"no authentication error: {ended.stderr[-300:]}")
    case.trace("wrong password: authentication error")


run_plan({"round-trip": round_trip, "compression": compression, "admin": admin, "wrong-password": wrong_password})
