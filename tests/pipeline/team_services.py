"""The services of compose.yaml without containers: PostgreSQL from Debian, an S3 server from a package, MLflow."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import requests
from moto.server import ThreadedMotoServer
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
SECRETS = {
    "POSTGRES_PASSWORD": "of0the0database",
    "S3_ACCESS_KEY": "access0key",
    "S3_SECRET_KEY": "secret0key",
    "MLFLOW_ADMIN_PASSWORD": "of0the0administrator",
    "MLFLOW_SECRET_KEY": "signs0forms",
}
VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


def interpolated(text: str, values: Mapping[str, str]) -> str:
    """`text` as Compose reads it: ${NAME}, ${NAME:-default} and ${NAME:?error}."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if values.get(name):
            return values[name]
        if kind == "-":
            return str(rest)
        raise ValueError(f"{name}: {rest or 'is not set'}")

    return VARIABLE.sub(value, text)


def compose(values: Mapping[str, str]) -> dict[str, Any]:
    """compose.yaml with its variables filled in."""
    text = (ROOT / "compose.yaml").read_text()
    found: dict[str, Any] = YAML(typ="safe").load(interpolated(text, values))
    return found


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_until(ready: Callable[[], Any], process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until `ready` neither raises nor is false."""
    end = time.monotonic() + seconds
    while True:
        try:
            if ready():
                return
        except (OSError, psycopg2.OperationalError):
            pass
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < end, "the server does not answer"
        time.sleep(0.2)


@contextmanager
def postgres(password: str) -> Iterator[int]:
    """PostgreSQL on a free port with the databases and the user of compose.yaml; root lends it to nobody, as it demands."""
    folder, port = Path(tempfile.mkdtemp(prefix="orrery-postgres-")), free_port()
    lent = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    (folder / "password").write_text(password)
    if lent:
        for path in (folder, folder / "password"):
            shutil.chown(path, "nobody")
    data, binaries = folder / "data", BINARIES[-1]
    create = [binaries / "initdb", "-D", data, "--username=orrery", f"--pwfile={folder / 'password'}"]
    try:
        subprocess.run([*lent, *create, "--auth=scram-sha-256", "--no-sync"], cwd=folder, check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        serve = [binaries / "postgres", "-D", data, "-p", str(port), "-k", folder, "-c", "fsync=off"]
        with (
            open(folder.with_suffix(".log"), "wb") as log,
            ended([*lent, *serve], folder, os.environ, log) as process,
        ):
            where = f"host=127.0.0.1 port={port} user=orrery password={password}"
            wait_until(lambda: psycopg2.connect(f"{where} dbname=postgres").close() is None, process)
            connection = psycopg2.connect(f"{where} dbname=postgres")
            connection.autocommit = True
            connection.cursor().execute("CREATE DATABASE orrery")
            connection.cursor().execute(compose(SECRETS)["configs"]["studies"]["content"])
            connection.close()
            yield port
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".log").unlink(missing_ok=True)


@contextmanager
def ended(
    command: list[Any], cwd: Path, environment: Mapping[str, str], log: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with all its children, ended on leaving."""
    process = subprocess.Popen(
        command, cwd=cwd, env=dict(environment), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """End a process and its children."""
    try:
        os.killpg(process.pid, how)
        process.wait(20)
    except ProcessLookupError:
        pass
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass
class Team:
    """The services, and how clients reach them."""

    folder: Path
    postgres_port: int
    s3_port: int
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def objects(self) -> str:
        return f"http://127.0.0.1:{self.s3_port}"

    @property
    def studies(self) -> str:
        return f"postgresql://orrery:{SECRETS['POSTGRES_PASSWORD']}@127.0.0.1:{self.postgres_port}/studies"

    def local(self, text: str) -> str:
        """An address inside the network of compose.yaml as one of this host."""
        here = {"postgres:5432": f"127.0.0.1:{self.postgres_port}", "s3:8333": f"127.0.0.1:{self.s3_port}"}
        here |= {"=0.0.0.0": "=127.0.0.1", "--port=5000": f"--port={self.port}"}
        for old, new in here.items():
            text = text.replace(old, new)
        return text

    def service(self, name: str) -> tuple[list[str], dict[str, str]]:
        """Command and environment of a service of compose.yaml, here."""
        told = compose({**SECRETS, "MLFLOW_ALLOWED_HOSTS": f"127.0.0.1:{self.port}"})
        service = told["services"][name]
        environment = {key: self.local(str(value)) for key, value in service["environment"].items()}
        if "MLFLOW_AUTH_CONFIG_PATH" in environment:
            path = self.folder / "auth.ini"
            path.write_text(self.local(told["configs"]["auth"]["content"]))
            environment["MLFLOW_AUTH_CONFIG_PATH"] = str(path)
        command = [self.local(word) for word in (*service["entrypoint"], *service["command"])]
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return command, {**kept, **environment, "PATH": path, "OMP_NUM_THREADS": "1"}

    def start(self) -> None:
        """MLflow, with one worker."""
        command, environment = self.service("mlflow")
        with open(self.folder / "mlflow.log", "ab") as log:
            self.process = subprocess.Popen(
                [*command, "--workers=1"],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(lambda: requests.get(f"{self.address}/health", timeout=5).ok, self.process)

    def lose(self) -> None:
        """Kill MLflow."""
        if self.process:
            stop(self.process, signal.SIGKILL)
            self.process = None


@contextmanager
def team(folder: Path) -> Iterator[Team]:
    """All services of compose.yaml, ended on leaving whatever happens."""
    with postgres(SECRETS["POSTGRES_PASSWORD"]) as port:
        store = ThreadedMotoServer(port=0, verbose=False)
        store.start()
        found = Team(folder, port, store.get_host_and_port()[1])
        try:
            command, environment = found.service("bucket")
            subprocess.run(command, env=environment, check=True)
            found.start()
            yield found
        finally:
            found.lose()
            store.stop()
