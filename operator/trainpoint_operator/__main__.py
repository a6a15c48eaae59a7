"""``python -m trainpoint_operator``: the operator's process."""

from __future__ import annotations

import sys

from trainpoint_operator.main import main

sys.exit(main())
