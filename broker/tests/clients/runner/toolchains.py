"""Builds the client programs, each with its own language's tools, and says how to start them.

Versions are pinned in each directory's own file (pom.xml and here for Java, requirements.txt, go.mod, package-lock.json,
Cargo.lock). What is built lies under `$SLUICE_TOOLS/clients` and is built again only after a change of its sources.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

JAVA_VERSIONS = {"java": "4.4.0", "java-2.1": "2.1.1", "java-0.10": "0.10.2.2", "hostile": "4.4.0", "streams": "4.3.1"}
_JVM = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]


class Toolchains:
    def __init__(self, sources: Path, tools: Path):
        self._sources = sources
        self._root = sources.parents[2]
        self._built = tools / "clients"
        self._built.mkdir(parents=True, exist_ok=True)

    def commands(self, clients: set[str]) -> dict[str, list[str]]:
        """Builds what these clients need; a start command for each."""
        builders = {
            "java": self._java, "java-2.1": self._java, "java-0.10": self._java, "hostile": self._hostile, "streams": self._streams, "confluent": self._python,
            "aiokafka": self._python, "kcat": self._kcat, "go": self._go, "node": self._node, "rust": self._rust,
        }
        return {client: builders[client](client) for client in sorted(clients)}

    @property
    def python(self) -> Path:
        """Interpreter of the virtual environment with the Python clients in it."""
        environment = self._built / "python"
        requirements = self._sources / "python" / "requirements.txt"

        def install() -> None:
            self._run(sys.executable, "-m", "venv", "--clear", str(environment))
            pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            self._run(*pip, "--only-binary", ":all:", "--requirement", str(requirements))

        self._once("python", [requirements], install)
        return environment / "bin" / "python"

    def _compiled(self, client: str, main: str, sources: list[str]) -> list[str]:
        """Classes of `sources` compiled against, and started with, one version of kafka-clients."""
        # 2.1 compiles what 0.10.2 runs too: the interface that both have.
        compiler = self._libraries("java-2.1" if client == "java-0.10" else client)
        files = [f for folder in sources for f in sorted((self._sources / "java" / folder).glob("*.java"))]
        classes = self._built / "java" / "classes" / sources[-1]

        def compile_() -> None:
            self._run("javac", "-nowarn", "-Xlint:-deprecation", "-d", str(classes), "-cp", f"{compiler}/*", *map(str, files))

        self._once(f"java-{sources[-1]}", files, compile_)
        return [*_JVM, "-cp", f"{classes}:{self._libraries(client)}/*", main]

    def _libraries(self, client: str) -> Path:
        version = JAVA_VERSIONS[client]
        pom = self._sources / "java" / "pom.xml"
        directory = self._built / "java" / version

        def fetch() -> None:
            more = ["-Pstreams"] if client == "streams" else []
            self._run("mvn", "-q", "-B", "-f", str(pom), *more, f"-Dclients.version={version}", "dependency:copy-dependencies",
                      "-DincludeScope=runtime", f"-DoutputDirectory={directory}")

        self._once(f"java-{version}", [pom], fetch)
        return directory

    def _hostile(self, client: str) -> list[str]:
        return self._compiled(client, "Hostile", ["shared", "hostile"])

    def _streams(self, client: str) -> list[str]:
        return self._compiled(client, "Application", ["shared", "streams"])

    def _java(self, client: str) -> list[str]:
        if client == "java":
            return self._compiled(client, "Modern", ["shared", "modern"])
        command = self._compiled(client, "Legacy", ["shared", "legacy"])
        return command if client == "java-0.10" else [*command, "since-0.11"]

    def _python(self, client: str) -> list[str]:
        return [str(self.python), str(self._sources / "python" / f"{client}_client.py")]

    def _kcat(self, _client: str) -> list[str]:
        return [sys.executable, str(self._sources / "kcat" / "kcat_client.py")]

    def _go(self, _client: str) -> list[str]:
        program, directory = self._built / "go-client", self._sources / "go"

        def build() -> None:
            self._run("go", "build", "-trimpath", "-o", str(program), ".", cwd=directory)

        self._once("go", [directory / "go.sum", *directory.glob("*.go")], build)
        return [str(program)]

    def _node(self, _client: str) -> list[str]:
        directory, installed = self._sources / "node", self._built / "node"
        files = [directory / "package.json", directory / "package-lock.json", *directory.glob("*.mjs")]

        def install() -> None:
            installed.mkdir(exist_ok=True)
            for file in files:
                (installed / file.name).write_bytes(file.read_bytes())
            self._run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", cwd=installed)

        self._once("node", files, install)
        return ["node", str(installed / "client.mjs")]

    def _rust(self, _client: str) -> list[str]:
        target = Path(os.environ.get("CARGO_TARGET_DIR", self._root / "target"))
        self._run("cargo", "build", "--quiet", "--locked", "--package", "broker", "--example", "client", cwd=self._root)
        return [str(target / "debug" / "examples" / "client")]

    def _once(self, name: str, inputs: list[Path], action) -> None:
        """Runs `action` unless it ended well for inputs with this content."""
        content = hashlib.sha256(b"".join(file.read_bytes() for file in inputs)).hexdigest()
        stamp = self._built / f"{name}.stamp"
        if stamp.exists() and stamp.read_text() == content:
            return
        stamp.unlink(missing_ok=True)
        print(f"building {name}", file=sys.stderr, flush=True)
        action()
        stamp.write_text(content)

    @staticmethod
    def _run(*command: str, cwd: Path | None = None) -> None:
        ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
        if ended.returncode != 0:
            raise SystemExit(f"clients: {' '.join(command[:4])} … failed:\n{ended.stdout[-2000:]}{ended.stderr[-4000:]}")
