"""What clients saw of a plain Kafka, kept in transcripts/: an instance must look the same to them.

A transcript is a line a case and, indented, what the case traced. Nothing in it differs from run to run.
"""

from pathlib import Path

from .processes import Outcome

_INDENT = "    "


def read(file: Path) -> dict[str, list[str]]:
    seen: dict[str, list[str]] = {}
    case: list[str] = []
    for line in file.read_text().splitlines():
        if line.startswith(_INDENT):
            case.append(line.removeprefix(_INDENT))
        else:
            case = seen[line] = []
    return seen


def write(file: Path, outcomes: list[Outcome]) -> None:
    """Replaces what the file has for these cases, and keeps the rest."""
    seen = read(file) if file.exists() else {}
    seen |= {outcome.case.name: outcome.trace for outcome in outcomes if outcome.failure is None}
    lines = [line for name in sorted(seen) for line in (name, *(_INDENT + text for text in seen[name]))]
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines) + "\n")
