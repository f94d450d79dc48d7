"""Coverage-guided fuzzing of one dialect's decoders, for as long as it may take:

    make fuzz                                                   all dialects, a minute each
    .venv/bin/python -m tests.fuzz_with_atheris gemini --seconds 600

It needs `pip install --group fuzz`, whose wheels there are for few platforms only. What it finds is written to a file
beside the corpus that it grows in `.fuzz/<dialect>`, and `--replay FILE` runs that again.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import random
import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found]  # of a group of its own

with atheris.instrument_imports(include=["modelwire"]):
    import modelwire.providers

    # Codecs are loaded when they are first used, which would be too late.
    for _found in pkgutil.walk_packages(modelwire.providers.__path__, "modelwire.providers."):
        importlib.import_module(_found.name)
    from tests.fuzzing import CHECKS, answers, changed, codecs, requests
    from tests.recordings import DIALECTS

FOLDER = Path(__file__).resolve().parent.parent / ".fuzz"
VERBS = [*CHECKS]
_LARGEST = 16_384
"""Bytes of an input: larger ones find nothing that these do not, and take long."""


def main() -> None:
    """Fuzz until the time is over; the process ends with another status than 0 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_with_atheris")
    parser.add_argument("dialect", choices=DIALECTS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--replay", type=Path, help="run this input alone")
    given = parser.parse_args()
    folder = FOLDER / given.dialect
    tried = codecs(given.dialect)

    def try_one(data: bytes) -> None:
        """The first byte says what is tried, the second with which codec, and the rest is what comes in."""
        if len(data) >= 2:
            chance = random.Random(data[:2])
            CHECKS[VERBS[data[0] % len(VERBS)]](tried[data[1] % len(tried)], data[2:], chance)

    if given.replay:
        try_one(given.replay.read_bytes())
        return
    options = [f"-max_total_time={given.seconds}", f"-max_len={_LARGEST}", "-timeout=20", "-rss_limit_mb=2048"]
    options += [f"-artifact_prefix={folder.parent}/{given.dialect}-", f"-dict={_words(given.dialect)}"]
    atheris.Setup([sys.argv[0], *options, str(_seeded(given.dialect, folder))], try_one, custom_mutator=_mutated)
    atheris.Fuzz()


def _mutated(data: bytes, largest: int, seed: int) -> bytes:
    """Half of the time a change that knows JSON, otherwise one of libFuzzer's own."""
    chance = random.Random(seed)
    if len(data) > 2 and chance.random() < 0.5:
        return (data[:2] + changed(data[2:], chance))[:largest]
    return bytes(atheris.Mutate(data, largest))


def _seeded(dialect: str, folder: Path) -> Path:
    """The folder of the corpus, with the recordings in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, body in enumerate(answers(dialect)):
        for verb in ("answer", "stream", "error"):
            _seed(folder, f"{verb}-{number}", verb, number, body)
    for number, body in enumerate(requests(dialect)):
        _seed(folder, f"request-{number}", "request", number, body)
    return folder


def _seed(folder: Path, name: str, verb: str, number: int, body: bytes) -> None:
    if len(body) < _LARGEST - 2:
        (folder / name).write_bytes(bytes((VERBS.index(verb), number % 251)) + body)


def _words(dialect: str) -> Path:
    """A dictionary for libFuzzer: the strings that stand in the recordings, and what JSON and streams consist of."""
    found = {word for body in [*answers(dialect), *requests(dialect)] for word in body.split(b'"')[1::2]}
    plain = {word.decode() for word in found if len(word) < 40 and word.replace(b"_", b"").isalnum()}
    quoted = [f'"\\"{word}\\":"\n' for word in sorted(plain)]
    path = FOLDER / f"{dialect}.dict"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join([*quoted, '"data: "\n"\\x0a\\x0a"\n"null"\n"[]"\n"{}"\n"\\\\ud800"\n"1e999"\n']))
    return path


if __name__ == "__main__":
    main()
