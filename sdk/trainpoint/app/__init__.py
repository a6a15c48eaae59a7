"""Apps: a tree of components that runs in a loop, and whose state is saved and given back.

>>> from trainpoint import app
>>> class Counter(app.Flow):
...     def __init__(self):
...         super().__init__()
...         self.n = 0
...     def run(self):
...         self.n += 1
...     def should_save_checkpoint(self):
...         return True

``trainpoint run app counter.py`` runs it, and ``--checkpoint latest`` goes on where it was.
"""

from __future__ import annotations

from trainpoint.app.migrate import migration
from trainpoint.app.structures import Dict, List
from trainpoint.app.tree import CheckpointContext, Flow, Work

__all__ = ["CheckpointContext", "Dict", "Flow", "List", "Work", "migration"]
