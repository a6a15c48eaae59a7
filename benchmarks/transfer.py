"""Save and load of many bytes: ours, verified, against obstore alone, in one run.

    python -m benchmarks.transfer                     # 1 GiB in 64 files, on SeaweedFS and on a directory
    python -m benchmarks.transfer --mib 64 --files 8 --stores directory

Each measurement is a process of its own, so that its peak memory is its own. The best of the repeats counts: other work
on the machine only ever adds time. obstore alone does what a careful script would do: four threads, one call per file,
its own defaults; no digests, no check for change, no atomic replacement of the target, and on a directory no fsync.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
THREADS = 4
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """One process."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


# --- in a process of its own ------------------------------------------------------------------------------------------


def ours_save(url: str, source: Path, target: Path) -> None:
    from trainpoint.format.layout import SnapshotId, TaskPath
    from trainpoint.format.manifest import Manifest, Snapshot
    from trainpoint.store.url import open_store
    from trainpoint.transfer.tree import scan
    from trainpoint.transfer.upload import upload

    task, snapshot = TaskPath("bench", "run", "main"), SnapshotId(0, 1, "0" * 16)
    store = open_store(url, environ=os.environ)
    sent = upload(store, task, snapshot, scan(source))
    manifest = Manifest(Snapshot(task, snapshot), "", sent.objects, sent.files, sent.directories, sent.links)
    store.put("manifest.json", manifest.to_bytes())


def ours_load(url: str, source: Path, target: Path) -> None:
    from trainpoint.format.manifest import Manifest
    from trainpoint.store.url import open_store
    from trainpoint.transfer.download import download

    store = open_store(url, environ=os.environ)
    download(store, Manifest.from_bytes(store.get("manifest.json"), key="manifest.json"), target)


def raw_store(url: str) -> object:
    from obstore.store import LocalStore, S3Store

    if url.startswith("s3://"):
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        options = {"allow_http": True, "timeout": "600s"}
        return S3Store(
            bucket,
            prefix=prefix,
            endpoint=os.environ["AWS_ENDPOINT_URL"],
            client_options=options,  # type: ignore[arg-type]
        )
    Path(url.removeprefix("file://")).mkdir(parents=True, exist_ok=True)
    return LocalStore(url.removeprefix("file://"))


def raw_save(url: str, source: Path, target: Path) -> None:
    import obstore

    store = raw_store(url)

    def put(file: Path) -> None:
        obstore.put(store, file.name, file)  # type: ignore[arg-type]

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, sorted(source.iterdir())))


def raw_load(url: str, source: Path, target: Path) -> None:
    import obstore

    store = raw_store(url)
    target.mkdir()

    def get(name: str) -> None:
        with open(target / name, "wb", buffering=0) as out:
            for chunk in obstore.get(store, name).stream(min_chunk_size=MIB):  # type: ignore[arg-type]
                out.write(chunk)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(get, sorted(file.name for file in source.iterdir())))


def nothing(url: str, source: Path, target: Path) -> None:
    """Only what both import: the floor of the memory."""
    import obstore  # noqa: F401

    import trainpoint.store.s3
    import trainpoint.transfer.download
    import trainpoint.transfer.upload  # noqa: F401


WORK: dict[str, Callable[[str, Path, Path], None]] = {
    "ours-save": ours_save,
    "ours-load": ours_load,
    "raw-save": raw_save,
    "raw-load": raw_load,
    "nothing": nothing,
}


def work(name: str, url: str, source: Path, target: Path) -> Measured:
    nothing(url, source, target)  # imports are measured elsewhere
    before, begun = os.times(), time.monotonic()
    WORK[name](url, source, target)
    seconds, after = time.monotonic() - begun, os.times()
    return Measured(seconds, after.user + after.system - before.user - before.system, peak_mib())


def peak_mib() -> float:
    """The largest resident memory of this process.

    On Linux not by getrusage, whose figure a child inherits from the process that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (MIB if sys.platform == "darwin" else 1024)


# --- the parent -------------------------------------------------------------------------------------------------------


def measure(name: str, url: str, source: Path, target: Path, environ: dict[str, str]) -> Measured:
    command = [sys.executable, "-m", "benchmarks.transfer", "--work", name, url, str(source), str(target)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} on {url} failed:\n{done.stderr}")
    return Measured(**json.loads(done.stdout))


def make_source(folder: Path, size: int, files: int) -> None:
    """Files that differ from each other and do not compress."""
    folder.mkdir()
    block = os.urandom(MIB)
    for number in range(files):
        left = size // files
        with open(folder / f"part-{number:04}.bin", "wb") as out:
            while left > 0:
                out.write((os.urandom(16) + block[16:])[:left])
                left -= MIB


def differs(one: Path, other: Path) -> bool:
    names = sorted(file.name for file in one.iterdir())
    return names != sorted(file.name for file in other.iterdir()) or any(
        not filecmp.cmp(one / name, other / name, shallow=False) for name in names
    )


@contextmanager
def place(kind: str, top: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """URL of an empty store, and the environment for it."""
    if kind == "directory":
        yield f"file://{top / 'store'}", {}
        return
    sys.path.insert(0, str(ROOT))
    from tools.s3server import DEFAULT_BUCKET, S3Server

    with S3Server(top / "s3") as server:
        yield f"s3://{DEFAULT_BUCKET}/bench", dict(server.env())


def best(measured: list[Measured]) -> Measured:
    return min(measured, key=lambda m: m.seconds)


def run(kind: str, top: Path, source: Path, size: int, repeats: int) -> None:
    found: dict[str, list[Measured]] = {name: [] for name in WORK}
    with place(kind, top) as (url, environ):
        for number in range(repeats):
            order = ["ours", "raw"] if number % 2 else ["raw", "ours"]
            for what in order:
                target = top / "target"
                found[f"{what}-save"].append(measure(f"{what}-save", f"{url}/{what}{number}", source, target, environ))
                found[f"{what}-load"].append(measure(f"{what}-load", f"{url}/{what}{number}", source, target, environ))
                if differs(source, target):
                    sys.exit(f"what {what} loaded from {kind} differs from what it saved")
                shutil.rmtree(target)
        found["nothing"].append(measure("nothing", url, source, top / "target", environ))
    floor = found["nothing"][0].peak_mib
    gib = size / 1024 / MIB
    for verb in ("save", "load"):
        ours, raw = best(found[f"ours-{verb}"]), best(found[f"raw-{verb}"])
        for label, m in (("trainpoint", ours), ("obstore", raw)):
            print(
                f"| {kind} | {verb} | {label} | {m.seconds:.2f} | {gib / m.seconds:.2f} | {m.cpu_seconds / gib:.2f} "
                f"| {m.peak_mib:.0f} | {m.peak_mib - floor:.0f} | {m.seconds / raw.seconds:.2f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description="Save and load of many bytes, against obstore alone.")
    parser.add_argument("--mib", type=int, default=1024, help="of all files together")
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--stores", nargs="+", choices=["s3", "directory"], default=["s3", "directory"])
    parser.add_argument("--dir", type=Path, default=None, help="where files and stores lie; a temporary directory")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        name, url, source, target = arguments.work
        print(json.dumps(asdict(work(name, url, Path(source), Path(target)))))
        return
    size = arguments.mib * MIB
    print(f"{arguments.mib} MiB in {arguments.files} files, best of {arguments.repeats}, {THREADS} threads each\n")
    print("| store | | by | seconds | GiB/s | CPU s/GiB | peak MiB | of it for the data | time, obstore = 1 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind in arguments.stores:
        with tempfile.TemporaryDirectory(prefix="trainpoint-bench-", dir=arguments.dir) as top:
            make_source(Path(top) / "source", size, arguments.files)
            run(kind, Path(top), Path(top) / "source", size, arguments.repeats)


if __name__ == "__main__":
    main()
