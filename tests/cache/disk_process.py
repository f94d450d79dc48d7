"""A process that uses a disk cache until it is killed: `python disk_process.py FOLDER SEED`.

Every value says under which name it belongs, so that a wrong one is known whoever wrote it.
"""

from __future__ import annotations

import hashlib
import random
import sys

import anyio

from modelwire import DiskCacheStore


def value_of(key: str, length: int) -> bytes:
    """A value that belongs to this name alone."""
    seed = hashlib.sha256(key.encode()).digest()
    return b"%d %b" % (length, (seed * (length // 32 + 1))[:length])


def is_right(key: str, value: bytes) -> bool:
    length = int(value.partition(b" ")[0])
    return value == value_of(key, length)


async def use(folder: str, seed: int, turns: int) -> None:
    chance = random.Random(seed)
    async with DiskCacheStore(folder, max_bytes=2_000_000, strict=True) as store:
        for _ in range(turns):
            key = f"key {chance.randrange(200)}"
            if chance.random() < 0.5:
                await store.set(key, value_of(key, chance.choice((10, 1000, 30_000))))
            else:
                found = await store.get(key)
                if found is not None and not is_right(key, found):
                    print("WRONG", key, found[:40], flush=True)  # noqa: T201
                    sys.exit(3)
            print("turn", flush=True)  # noqa: T201


if __name__ == "__main__":
    anyio.run(use, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
