"""The file of an app: which flow of it is the root."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from trainpoint.app.tree import Flow
from trainpoint.errors import AppFileError

MODULE: Final = "__app__"
"""The name under which the file is imported: never that of a module it may want to import itself."""


def load_app(path: Path) -> Flow:
    """Execute a file and make its root flow: the object ``app``, else the one class derived from Flow.

    The folder of the file comes first in ``sys.path``, as for a script.

    Raises:
        AppFileError: there is no such file, or not exactly one app in it.
        Exception: whatever the file itself raises.
    """
    if not path.is_file():
        raise AppFileError(f"there is no file {path}", remedy="name the file of the app: trainpoint run app app.py")
    folder = str(path.resolve().parent)
    if folder not in sys.path[:1]:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise AppFileError(f"{path} is no Python file", remedy="its name has to end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    spec.loader.exec_module(module)
    return root_of(module, path)


def root_of(module: ModuleType, path: Path) -> Flow:
    """The root flow of a file that was executed. Raises AppFileError."""
    named = vars(module).get("app")
    if isinstance(named, Flow):
        return named
    if named is not None and not inspect.ismodule(named):  # "from trainpoint import app" is no app
        what = "a class: call it, app = Main()" if inspect.isclass(named) else f"of the type {type(named).__name__}"
        raise AppFileError(f"{path}: app is {what}", remedy="let it be the root flow: app = Main()")
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Flow) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        there = f"{len(classes)} flows ({', '.join(cls.__name__ for cls in classes)})" if classes else "no flow"
        raise AppFileError(
            f"{path} has {there}, and no object named app", remedy="say which is the root, as in: app = Main()"
        )
    needed = [
        name
        for name, parameter in list(inspect.signature(classes[0].__init__).parameters.items())[1:]
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed:
        raise AppFileError(
            f"{path}: {classes[0].__name__} needs the arguments {', '.join(needed)}",
            remedy=f"make it in the file: app = {classes[0].__name__}(…)",
        )
    return classes[0]()
