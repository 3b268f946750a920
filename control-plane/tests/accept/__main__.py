"""`make accept`: walks the feature list from outside and prints a line a row: id, works | partly | fails | not yet, a
figure. A row works partly when its figure tells what of it is not there yet.

`accept [ID…]` walks those rows only. `--write FILE` writes docs/features from what was seen.
"""

import sys
import time
from pathlib import Path

import authorisation, bought, certificates, connections, groups, lifecycle, logins, metrics, paths, quotas, tenancy, topics  # noqa: E401, F401: they register their rows
from rows import CHECKS
from sluice import World

MARKS = {"works": "✓ works", "partly": "◐ partly", "fails": "✗ fails", "not yet": "not yet"}


def main():
    arguments = sys.argv[1:]
    out = arguments.pop(arguments.index("--write") + 1) if "--write" in arguments else None
    wanted = [a for a in arguments if a != "--write"]
    listed = [line.rstrip("\n").split("\t") for line in (Path(__file__).parent / "rows.tsv").open()]
    world, seen = World(), []
    try:
        for identifier, title in listed:
            if wanted and identifier not in wanted:
                continue
            check, began = CHECKS.get(identifier), time.monotonic()
            state, figure = "not yet", ""
            if check:
                try:
                    figure = check(world) or ""
                    state = "partly" if "not yet" in figure else "works"
                except Exception as error:  # a row that breaks is a row that fails; the walk goes on
                    state, figure = "fails", f"{type(error).__name__}: {error}"
            seen.append((identifier, title, state, figure))
            took = f"{time.monotonic() - began:5.1f} s" if check else ""
            print(f"{identifier:4} {state:8} {took:8} {title}{': ' + figure if figure else ''}", flush=True)
    finally:
        world.close()
    if out:
        write(Path(out), seen)
    count = lambda state: sum(row[2] == state for row in seen)
    print(f"{count('partly')} rows partly, {count('not yet')} not yet")
    print(f"accept: {count('works') + count('partly')} passed, {count('fails')} failed")
    sys.exit(1 if count("fails") else 0)


def write(path, seen):
    lines = ["# What works", "", "Written by `make accept`, which tries each row from outside against what `make up` started. Do not edit.", "",
             "| id | capability | state | seen |", "|---|---|---|---|"]
    lines += [f"| {identifier} | {title} | {MARKS[state]} | {figure if state in ('works', 'partly') else ''} |" for identifier, title, state, figure in seen]
    path.write_text("\n".join(lines) + "\n")


main()
