"""What a caller passed."""

from __future__ import annotations

from trainpoint.errors.base import EXIT_REFUSED, TrainpointError


class UnstorableError(TrainpointError, ValueError):
    """A file cannot be stored so that it could be listed, loaded and deleted again.

    Devices, sockets and pipes; names that are not UTF-8; paths whose key would be longer than 1024 bytes; files that
    cannot be read. The message names the path. Nothing was committed.
    """

    code = "TP130"
    exit_code = EXIT_REFUSED


class ChangedDuringSaveError(TrainpointError, RuntimeError):
    """Files changed while they were being saved, so the snapshot would have been a mixture.

    The message names them. Save from ``with ckpt.stage(...) as folder``, which nobody else writes to, or stop writing
    until ``save`` has returned. Nothing was committed.
    """

    code = "TP131"


class LocalFileError(TrainpointError, OSError):
    """This machine could not read or write a file that is being saved or loaded.

    The disk is full, the medium has an error, a directory may not be written. The message has the path and what the
    operating system said. A save that met it is not committed; a load that met it has changed nothing.
    """

    code = "TP132"


class SaveFailedError(TrainpointError, RuntimeError):
    """A save in the background failed; it is reported once, at the next call.

    The cause is in the message and in ``__cause__``. That checkpoint does not exist; training may go on.
    """

    code = "TP140"


class InvalidArgumentError(TrainpointError, ValueError):
    """An argument has a value that could never work: a metric that is no number, a step below zero, a bad reference.

    The message names the argument and what it may be. Nothing was read and nothing was written.
    """

    code = "TP150"
    exit_code = EXIT_REFUSED
