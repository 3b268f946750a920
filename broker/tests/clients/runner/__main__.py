"""Command line of the runner; `scripts/clients --help` lists it."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from . import transcript
from .direct import DirectKafka, libraries, tools_directory
from .plan import Plan, Target
from .processes import Outcome, Programs
from .toolchains import Toolchains

SOURCES = Path(__file__).resolve().parents[1]
ROOT = SOURCES.parents[2]


def main() -> int:
    options = _options()
    tools = tools_directory(ROOT)
    toolchains = Toolchains(SOURCES, tools)
    logs = options.logs or Path(tempfile.mkdtemp(prefix="sluice-clients-"))
    logs.mkdir(parents=True, exist_ok=True)
    if options.direct:
        with DirectKafka(options.kafka, libraries(options.kafka, tools), logs / "direct") as target:
            outcomes = _run(options, toolchains, target, logs)
    else:
        outcomes = _run(options, toolchains, _target(options), logs)
    if options.record:
        transcript.write(_transcript(options), outcomes)
    failed = [outcome for outcome in outcomes if outcome.failure is not None]
    if failed:
        print("\n".join(["", *(outcome.line() for outcome in failed), f"logs: {logs}"]))
    print(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not outcomes else 0


def _run(options: argparse.Namespace, toolchains: Toolchains, target: Target, logs: Path) -> list[Outcome]:
    plan = Plan(SOURCES / "cases.toml", target)
    cases = [case for case in plan.cases if re.search(options.only, case.name)]
    commands = toolchains.commands({case.client for case in cases})
    topics = [vars(topic) for topic in plan.topics_of(cases)]

    def ask(action: str) -> None:
        if not topics:
            return
        program = [toolchains.python, SOURCES / "python" / "topics.py", action, target.plaintext]
        subprocess.run(program, input=json.dumps(topics), text=True, check=True)

    ask("create")
    try:
        expected = {} if options.record else transcript.read(_transcript(options))
        return Programs(commands, expected, target.password, logs, options.jobs, options.seconds).run(cases)
    finally:
        ask("delete")


def _transcript(options: argparse.Namespace) -> Path:
    return SOURCES / "transcripts" / f"{options.kafka}.txt"


def _target(options: argparse.Namespace) -> Target:
    for name in ("plaintext", "sasl_ssl", "user", "truststore_dir"):
        if not getattr(options, name):
            raise SystemExit(f"clients: --{name.replace('_', '-')} is missing (or say --direct)")
    password = os.environ.get(options.password_env)
    if not password:
        raise SystemExit(f"clients: the environment variable {options.password_env} holds no password")
    trust = options.truststore_dir.resolve()
    return Target(options.plaintext, options.sasl_ssl, options.user, password, trust, options.kafka, "instance")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/clients", description="Unchanged Kafka clients against an instance")
    parser.add_argument("--plaintext", metavar="HOST:PORT,…", help="every broker's address on the plaintext path")
    parser.add_argument("--sasl-ssl", metavar="HOST:PORT,…", help="every broker's address on the SASL_SSL path")
    parser.add_argument("--user", help="Kafka user")
    parser.add_argument("--password-env", default="KAFKA_PASSWORD", metavar="NAME", help="environment variable with the password")
    parser.add_argument("--truststore-dir", type=Path, help="directory with the CA as .pem, .p12 and .jks")
    parser.add_argument("--kafka", choices=["4.3", "3.9"], default="4.3", help="line of Kafka (default 4.3)")
    parser.add_argument("--direct", action="store_true", help="against a plain Kafka of this line, started here")
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose 'client way scenario' matches")
    parser.add_argument("--record", action="store_true", help="with --direct: what is seen now is what an instance must show")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="where programs' logs go (default: a new directory)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="clients at a time (default: one a core, so that brokers get their turn)")
    parser.add_argument("--seconds", type=int, default=240, help="for one client's cases together (default 240)")
    options = parser.parse_args()
    if options.record and not options.direct:
        parser.error("--record is for --direct: an instance is held to what a plain Kafka shows")
    return options


if __name__ == "__main__":
    sys.exit(main())
