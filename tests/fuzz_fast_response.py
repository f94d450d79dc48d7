"""Coverage-guided fuzzing of the fast transport's reading of responses: `python -m tests.fuzz_fast_response [corpus]`."""

from __future__ import annotations

import random
import sys

import atheris

with atheris.instrument_imports(include=["modelwire._transport.fast.response"]):
    from tests.test_fast_response import check


def one(data: bytes) -> None:
    check(data, random.Random(len(data)))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
