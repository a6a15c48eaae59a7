"""The few lines that say what happened: which run this is, what was loaded and why, what was ignored.

They go to the logger ``trainpoint``. A script that has set up no logging sees them on stderr, as ``trainpoint  …``.
"""

from __future__ import annotations

import logging
import sys

from trainpoint.format.layout import TaskPath
from trainpoint.format.manifest import Manifest
from trainpoint.format.records import LoadedRecord
from trainpoint.policies.siblings import advice

logger = logging.getLogger("trainpoint")


def speak() -> None:
    """Make the lines visible in a script without logging of its own; leave a configured program's logging alone."""
    if logger.handlers or logging.getLogger().handlers or logger.level:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("trainpoint  %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def size_text(count: int) -> str:
    """Bytes for people, in powers of 1024: ``412 MiB``."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def started_from(record: LoadedRecord, found: Manifest | None, seconds: float) -> None:
    """One line for what an attempt starts from, one for each checkpoint that was passed over."""
    if found is None:
        logger.info("attempt %d  %s: %s", record.attempt, record.policy, record.message)
    else:
        s = found.snapshot
        step = f"step {s.step}" if s.step is not None else record.checkpoint
        logger.info(
            "attempt %d  loaded %s (attempt %d, sequence %d, %s in %.1f s, verified; %s: %s)",
            record.attempt, step, s.id.attempt, s.id.sequence, size_text(found.size), seconds, record.policy,
            record.message,
        )  # fmt: skip
    for skipped in record.skipped:
        step = f" (step {skipped.step})" if skipped.step is not None else ""
        logger.warning("attempt %d  skipped %s%s: %s", record.attempt, skipped.checkpoint, step, skipped.message)
    logger.info("attempt %d  load policy %s, from %s", record.attempt, record.policy, record.source)


def loaded(found: Manifest, size: int, seconds: float) -> None:
    """One line for what the program itself has loaded into the directory of its handle.

    Args:
        size: bytes of the files that were asked for.
    """
    s = found.snapshot
    what = f"step {s.step} of {s.task}" if s.step is not None else f"a checkpoint of {s.task}"
    logger.info(
        "loaded %s (attempt %d, sequence %d, %s in %.1f s, verified; the program chose it)",
        what, s.id.attempt, s.id.sequence, size_text(size), seconds,
    )  # fmt: skip


def ignored(policy: str, run: str, count: int) -> None:
    """A new run says what it does not load, so that nobody wonders."""
    noun = "checkpoint" if count == 1 else "checkpoints"
    logger.info(
        '%s: %d %s of run %s exist and are not loaded (new run); to go on from there: load_policy="eager"',
        policy, count, noun, run,
    )  # fmt: skip


def beside(own: TaskPath, former: TaskPath, count: int) -> None:
    """A task that found nothing says whose checkpoints lie beside it: it may have been renamed."""
    noun = "checkpoint" if count == 1 else "checkpoints"
    logger.warning("%s has no checkpoint, and %s has %d %s; %s", own, former, count, noun, advice(own, former))


def not_asked(request: str, own: TaskPath) -> None:
    """A resume request speaks of another task, which may be what this one was called before."""
    logger.info(
        "resume from %s: speaks of another task than this one, %s, which follows its policy (TRAINPOINT_TASK names it)",
        request, own.task,
    )  # fmt: skip


def deaf() -> None:
    """No SIGTERM will reach this handle, so no final save will be asked for."""
    logger.info(
        "SIGTERM will not ask for a final save: it is ignored here, or this is not the main thread (open a Checkpoint "
        "there first, or pass signals=False)"
    )
