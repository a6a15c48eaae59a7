"""A working directory that is too small: told before training or a save begins."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.mounts import run_with_mounts
from tests.support.place import Place

PROGRAM = """
import json, os, sys
from pathlib import Path
from trainpoint import Checkpoint, LocalFileError
small, environ = sys.argv[1], json.loads(sys.argv[2])
os.environ.update(environ)
def refused(verb):
    try:
        verb()
    except LocalFileError as error:
        assert "bytes are needed, and " in error.message and "TRAINPOINT_TEMP_DIR" in error.remedy, error
        return error.message.rpartition(": ")[2].split()[0]
    raise SystemExit("not refused")
with Checkpoint(workflow="w", run="r", load_policy=None) as ckpt:
    (ckpt.path / "big.bin").write_bytes(bytes(3 << 20))
    ref = ckpt.save(step=1)
with Checkpoint(workflow="w", run="other", load_policy=None, temp_dir_root=small) as ckpt:
    print("load", refused(lambda: ckpt.load(ref)), os.listdir(ckpt.path), ckpt.is_loaded)
    large = Path(small).parent / "large"
    large.mkdir()
    (large / "big.bin").write_bytes(bytes(3 << 20))
    print("copy", refused(lambda: ckpt.save(large, step=1, wait=False)), len(ckpt.list()))
    (large / "big.bin").write_bytes(bytes(1 << 19))
    ckpt.save(large, step=2, wait=False)
    ckpt.wait()
    print("then", [info.step for info in ckpt.list()])
print("start", refused(lambda: Checkpoint(workflow="w", run="r", temp_dir_root=small)))
"""


def test_what_cannot_fit_is_refused_and_what_fits_goes_on(place: Place, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    told = run_with_mounts(
        f"mount -t tmpfs -o size=2m none {small}",
        PROGRAM,
        str(small),
        json.dumps({**place.environ, "TRAINPOINT_STORE": place.url}),
    )
    assert told.splitlines() == [
        "load 3145728 [] False",
        "copy 3145728 0",
        "then [2]",
        "start 3145728",
    ]
