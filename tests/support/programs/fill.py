"""Saves 6 MiB twice into a store of 16 MiB, then once too often, then something small."""

from __future__ import annotations

import random

from trainpoint import Checkpoint, StoreFullError

with Checkpoint() as ckpt:
    (ckpt.path / "small").write_bytes(b"1")
    for step in (1, 2, 3):
        with ckpt.stage(step=step) as folder:
            (folder / "weights.bin").write_bytes(random.Random(step).randbytes(6 * 2**20))
        try:
            ckpt.wait()
        except Exception as error:
            cause = error.__cause__
            print(type(cause).__name__, getattr(cause, "code", ""))
            assert isinstance(cause, StoreFullError)
    newest = ckpt.list()[0]
    ckpt.load(newest)
    whole = (ckpt.path / "weights.bin").read_bytes() == random.Random(2).randbytes(6 * 2**20)
    print(f"{len(ckpt.list())} checkpoints, newest loads: {whole}")
    (ckpt.path.parent / "tiny").write_bytes(b"1")
    ref = ckpt.save(ckpt.path.parent / "tiny", latest=False)
    print(f"small one after: {ref.committed}")
    from trainpoint.catalog.bucket import BucketCatalog

    catalog: BucketCatalog = ckpt._context.catalog
    catalog.delete(ref.task, ref.id, by="test")
