"""Apps."""

from __future__ import annotations

from trainpoint.errors.base import EXIT_REFUSED, TrainpointError


class IncompatibleStateError(TrainpointError, ValueError):
    """A saved state of an app does not fit the app's code, so the app was not started.

    The first line names a component that the state has and the code does not create; all differences follow. Nothing
    was restored: every attribute is as the constructor left it. Create the missing components in ``load_state_dict``
    before it calls ``super().load_state_dict(flow_state, children_states, strict)``, rename or drop variables there, or
    register a ``@migration`` for the version that saved the state. ``trainpoint app check`` shows the differences
    without starting anything; a start that is not strict drops what does not fit.
    """

    code = "TP155"
    exit_code = EXIT_REFUSED

    def __str__(self) -> str:
        # The sentence that people search for comes first, as a line of its own.
        return "\n".join([self.message, *(f"    {line}" for line in self.remedy.splitlines()), f"    [{self.code}]"])


class UnsupportedStateError(TrainpointError, TypeError):
    """An attribute of an app has a value that JSON cannot hold, so the state cannot be saved and given back exactly.

    The message names the attribute. A state holds text, numbers, true and false, None, and lists and dicts of these
    with text as keys. Convert the value (``float(x)``, ``list(x)``, ``str(path)``), or begin the attribute's name with
    ``_``: such attributes are not saved.
    """

    code = "TP156"
    exit_code = EXIT_REFUSED


class ComponentError(TrainpointError, TypeError):
    """The components of an app are put together in a way that cannot be saved or run.

    One component in two places, a circle, an attribute with the name of a method, a constructor that does not call
    ``super().__init__()``, two migrations for one version. The message says which; put it right in the code of the app.
    """

    code = "TP157"
    exit_code = EXIT_REFUSED


class AppFileError(TrainpointError, ImportError):
    """A file holds no app that could be run.

    ``trainpoint run app FILE`` needs a Python file with one root flow: an object named ``app`` (``app = Main()``), or
    exactly one class derived from ``trainpoint.app.Flow`` that can be made without arguments. The message says what
    the file has instead.
    """

    code = "TP158"
    exit_code = EXIT_REFUSED
