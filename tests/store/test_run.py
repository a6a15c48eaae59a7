"""``trainpoint run`` on a directory and on a real S3 server."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.place import Place
from tests.support.supervised import IMPATIENT, SCRIPT, supervise
from tools.s3server import DEFAULT_BUCKET, S3Server
from trainpoint.api.names import LOCAL_NAMESPACE
from trainpoint.claim.history import read_attempts


def test_a_killed_program_goes_on_and_its_end_is_written_down(place: Place, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "policy.yaml").write_text(IMPATIENT)
    command = [sys.executable, "train.py", "40", "25:kill"]
    done = supervise("--policy", "policy.yaml", "--", *command, cwd=tmp_path, environ=place.env())
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["start=0", "start=20"]
    assert "attempt 0 ended: killed by signal 9 after step 24; 4 steps of work lost" in done.stderr
    assert "done: 40 steps, 2 attempts, 4 steps repeated, 4 checkpoints, " in done.stderr
    catalog = place.catalog()
    (run,) = catalog.runs(LOCAL_NAMESPACE, "train")
    (task,) = catalog.tasks(LOCAL_NAMESPACE, "train", run.run)
    ends = [attempt.end.how for attempt in read_attempts(catalog.store, task) if attempt.end]
    assert ends == ["Killed", "Completed"]
    end = catalog.run_end(LOCAL_NAMESPACE, "train", run.run)
    assert end is not None
    assert end.outcome == "Succeeded"


def test_wrong_keys_are_told_by_both_without_the_key_and_the_exit_code_is_kept(
    s3_server: S3Server, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    secret = "this-is-no-valid-secret"
    place = Place(f"s3://{DEFAULT_BUCKET}/run", environ={**s3_server.env(), "AWS_SECRET_ACCESS_KEY": secret})
    done = supervise("--", sys.executable, "train.py", "40", cwd=tmp_path, environ=place.env())
    assert done.returncode == 1
    assert "StorePermissionError [TP103]" in done.stderr
    assert "the program ended: exit code 1; what it committed is not known: " in done.stderr
    assert secret not in done.stderr
