"""`make accept`: walks the feature list from outside and prints a line a row: id, works | fails | not yet, a figure.

`accept [ID…]` walks those rows only. `--write FILE` writes docs/features from what was seen.
"""

import sys
import time
from pathlib import Path

from rows import CHECKS
from sluice import World

MARKS = {"works": "✓ works", "fails": "✗ fails", "not yet": "not yet"}


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
                    state, figure = "works", check(world) or ""
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
    print(f"{count('not yet')} rows not yet")
    print(f"accept: {count('works')} passed, {count('fails')} failed")
    sys.exit(1 if count("fails") else 0)


def write(path, seen):
    lines = ["# What works", "", "Written by `make accept`, which tries each row from outside against what `make up` started. Do not edit.", "",
             "| id | capability | state | seen |", "|---|---|---|---|"]
    lines += [f"| {identifier} | {title} | {MARKS[state]} | {figure if state == 'works' else ''} |" for identifier, title, state, figure in seen]
    path.write_text("\n".join(lines) + "\n")


main()
