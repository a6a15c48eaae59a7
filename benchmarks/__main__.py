"""``make bench``: every figure, one after the other. Options of the parts: ``python -m benchmarks.transfer --help``."""

from __future__ import annotations

from benchmarks import app_loop, import_time, operator, transfer

print("## Import\n", flush=True)
import_time.main()
print("\n## Transfer\n", flush=True)
transfer.main()
print("\n## Apps\n", flush=True)
app_loop.main()
print("\n## Operator\n", flush=True)
operator.main()
