"""The client programs of `make clients`, for tests that need one."""

import os
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[3] / "broker" / "tests" / "clients"


def program(client):
    """How to start it; built first where it is not."""
    sys.path.insert(0, str(SOURCES))
    from runner.toolchains import Toolchains

    return Toolchains(SOURCES, Path(os.environ["SLUICE_TOOLS"])).commands({client})[client]
