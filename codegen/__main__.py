"""Command line of the code generation; `python -m codegen --help`."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from codegen import compare, generate
from codegen.prepass import SchemaError


def main(argv: list[str] | None = None) -> int:
    """Write, check or compare; the exit status is 0 when all is well and 1 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m codegen", description="Generate modelwire's types from its schema."
    )
    parser.add_argument(
        "--schema", type=Path, default=generate.SCHEMA, help="the schema to read (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=generate.PACKAGE, help="the folder to write to (default: %(default)s)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--check", action="store_true", help="write nothing; print a diff and exit with 1 where files differ"
    )
    what.add_argument("--diff", type=Path, metavar="OLD", help="compare with an older schema and say what breaks whom")
    arguments = parser.parse_args(argv)
    try:
        schema = generate.load(arguments.schema)
        if arguments.diff:
            return _compare(generate.load(arguments.diff), schema)
        files = generate.generate(schema)
    except (SchemaError, generate.GenerationError, OSError) as error:
        print(f"codegen: {error}", file=sys.stderr)
        return 1
    return _check(files, arguments.out) if arguments.check else _write(files, arguments.out)


def _write(files: dict[str, str], folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        Path(folder, name).write_text(text, "utf-8")
    return 0


def _check(files: dict[str, str], folder: Path) -> int:
    drift = 0
    for name, text in files.items():
        path = Path(folder, name)
        found = path.read_text("utf-8") if path.exists() else ""
        if found != text:
            drift = 1
            lines = difflib.unified_diff(
                found.splitlines(True), text.splitlines(True), f"{path} (on disk)", f"{path} (from the schema)"
            )
            sys.stdout.writelines(lines)
    if drift:
        print("codegen: the files above are not what the schema says; run `make codegen`", file=sys.stderr)
    return drift


def _compare(old: dict[str, object], new: dict[str, object]) -> int:
    changes = compare.changes(old, new)
    for change in changes:
        print(change)
    problem = compare.version_problem(old, new, changes)
    remark = problem or compare.version_remark(old, new, changes)
    if remark:
        print(f"codegen: {remark}", file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
