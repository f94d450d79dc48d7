"""What only the store on disk promises: it outlives kills and damage, and is bounded."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from modelwire import CacheStoreError, DiskCacheStore
from tests.cache.disk_process import is_right, value_of

pytestmark = pytest.mark.anyio

PROCESS = Path(__file__).with_name("disk_process.py")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".sqlite3")


def the_file(folder: Path) -> Path:
    (name,) = files(folder)
    return folder / name


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def empty_logs(folder: Path) -> None:
    for path in folder.glob("*-wal"):
        path.write_bytes(b"")


async def filled(folder: Path, count: int = 20) -> None:
    async with DiskCacheStore(folder) as store:
        for number in range(count):
            await store.set(f"key {number}", value_of(f"key {number}", 3000))


# ---------------------------------------------------------------------- files


async def test_nothing_is_made_before_the_first_use(tmp_path: Path) -> None:
    async with DiskCacheStore(tmp_path / "cache"):
        pass

    assert not (tmp_path / "cache").exists()


async def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "of a" / "cache"
    async with DiskCacheStore(folder) as store:
        await store.set("a", b"1")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}

        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(modes) == 3  # with its log and the log's index
        assert set(modes.values()) == {0o600}


async def test_it_outlives_the_process(tmp_path: Path) -> None:
    await filled(tmp_path)

    async with DiskCacheStore(tmp_path) as store:
        assert all([await store.get(f"key {number}") for number in range(20)])


async def test_clearing_gives_the_space_back(tmp_path: Path) -> None:
    async with DiskCacheStore(tmp_path) as store:
        await store.set("a", os.urandom(1_000_000))
        await store.clear()

        assert size_of(tmp_path) < 150_000


async def test_a_folder_that_is_emptied_meanwhile_is_filled_again(tmp_path: Path) -> None:
    async with DiskCacheStore(tmp_path / "cache") as store:
        await store.set("a", b"1")
        for path in (tmp_path / "cache").iterdir():
            path.unlink()
        (tmp_path / "cache").rmdir()

        assert await store.get("a") is None
        await store.set("a", b"2")
        assert await store.get("a") == b"2"


async def test_what_a_killed_process_left_half_made_is_removed_in_time(tmp_path: Path) -> None:
    old, young = tmp_path / "making-1.sqlite3", tmp_path / "making-2.sqlite3"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))

    await filled(tmp_path, 1)

    assert not old.exists()
    assert young.exists()


def test_a_child_of_a_fork_opens_its_own(tmp_path: Path) -> None:
    code = """
import os, sys, anyio, warnings
from modelwire import DiskCacheStore
store = DiskCacheStore(sys.argv[1])
anyio.run(store.set, "a", b"parent's")
warnings.simplefilter("ignore")
child = os.fork()
if not child:
    ok = anyio.run(store.get, "a") == b"parent's"
    anyio.run(store.set, "b", b"child's")
    os._exit(0 if ok else 1)
assert os.waitpid(child, 0)[1] == 0
assert anyio.run(store.get, "b") == b"child's"
assert anyio.run(store.get, "a") == b"parent's"
"""
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=60)


# ---------------------------------------------------------------------- bounds


async def test_it_is_bounded_and_the_least_recently_used_go_first(tmp_path: Path) -> None:
    clock = Hands()
    async with DiskCacheStore(tmp_path, max_bytes=400_000, now=clock) as store:
        for number in range(100):
            await store.set(f"{number}", os.urandom(10_000))
            clock.time += 100
            assert await store.get("0"), number  # used all the time, so it stays

        kept = [number for number in range(100) if await store.get(f"{number}")]

        assert kept[0] == 0
        assert kept[1:] == list(range(kept[1], 100))
        assert 20 < len(kept) < 40
        assert the_file(tmp_path).stat().st_size < 500_000


async def test_what_is_too_large_alone_is_not_stored(tmp_path: Path) -> None:
    async with DiskCacheStore(tmp_path, max_bytes=100_000) as store:
        await store.set("a", b"1")
        await store.set("b", b"1")
        await store.set("a", b"x" * 100_001)

        assert await store.get("a") is None
        assert await store.get("b") == b"1"


async def test_entries_whose_time_is_over_leave_the_disk(tmp_path: Path) -> None:
    clock = Hands()
    async with DiskCacheStore(tmp_path, now=clock) as store:
        await store.set("a", b"1", ttl=10)
        clock.time += 11
        await store.set("b", b"1")

        with sqlite3.connect(the_file(tmp_path)) as file:
            assert file.execute("SELECT key FROM entries").fetchall() == [("b",)]
        file.close()


class Hands:
    time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


# ---------------------------------------------------------------------- damage


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000, b"SQLite format 3\0" + b"\xff" * 9000])
async def test_a_file_that_is_none_is_replaced(tmp_path: Path, content: bytes, caplog: Any) -> None:
    await filled(tmp_path)
    the_file(tmp_path).write_bytes(content)

    async with DiskCacheStore(tmp_path) as store:
        assert await store.get("key 1") is None
        await store.set("key 1", b"again")
        assert await store.get("key 1") == b"again"
    assert files(tmp_path) == ["entries-v1-1.sqlite3"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("seed", range(12))
async def test_damage_gives_the_right_value_or_none(tmp_path: Path, seed: int) -> None:
    """Anywhere in the file, also while it is open."""
    await filled(tmp_path)
    chance = random.Random(seed)
    async with DiskCacheStore(tmp_path) as store:
        if seed % 2:
            await store.get("key 1")
        path = the_file(tmp_path)
        content = bytearray(path.read_bytes())
        for _ in range(20):
            begin = chance.randrange(len(content))
            content[begin : begin + 50] = chance.randbytes(min(50, len(content) - begin))
        if seed % 3 == 0:
            del content[chance.randrange(len(content)) :]
        with path.open("r+b") as file:  # the same file, not one of the same name
            file.write(content)
            file.truncate()

        for number in range(20):
            found = await store.get(f"key {number}")
            assert found is None or is_right(f"key {number}", found)
        for number in range(20):
            await store.set(f"key {number}", value_of(f"key {number}", 500))
            assert await store.get(f"key {number}") == value_of(f"key {number}", 500)


async def test_a_changed_value_is_not_given(tmp_path: Path, caplog: Any) -> None:
    async with DiskCacheStore(tmp_path) as store:
        await store.set("a", b"the answer")
        await store.set("b", b"another")
        with sqlite3.connect(the_file(tmp_path)) as file:
            file.execute("UPDATE entries SET value = ? WHERE key = 'a'", (b"the Answer",))
            # The right bytes under a wrong name, as a damaged index would give them.
            file.execute("UPDATE entries SET key = 'c' WHERE key = 'b'")
        file.close()

        assert await store.get("a") is None
        assert await store.get("c") is None
        assert len(caplog.records) == 2


async def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    await filled(tmp_path, 1)
    path = the_file(tmp_path)
    path.unlink()
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE theirs (a)")
    file.close()
    before = path.read_bytes()

    async with DiskCacheStore(tmp_path) as store:
        for use in (store.get("a"), store.set("a", b"1")):
            with pytest.raises(CacheStoreError, match="another program's database: name another cache_dir"):
                await use
    assert path.read_bytes() == before


async def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")

    async with DiskCacheStore(path) as store:
        with pytest.raises(CacheStoreError, match="file"):
            await store.get("a")
    assert path.read_text() == "mine"


async def test_two_processes_follow_when_the_file_is_replaced(tmp_path: Path) -> None:
    async with DiskCacheStore(tmp_path) as one, DiskCacheStore(tmp_path) as other:
        await one.set("a", b"1")
        assert await other.get("a") == b"1"
        with the_file(tmp_path).open("r+b") as file:
            file.write(b"\xff" * 4096)
        empty_logs(tmp_path)
        fresh = DiskCacheStore(tmp_path)
        assert await fresh.get("a") is None
        await fresh.set("a", b"2")

        assert await one.get("a") == b"2"
        await other.set("a", b"3")
        assert await fresh.get("a") == b"3"
        await fresh.aclose()


# ---------------------------------------------------------------------- a disk that fails


async def test_a_disk_that_is_locked_makes_calls_uncached_with_one_warning(
    tmp_path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwire.cache.disk._BUSY", 0.01)
    async with DiskCacheStore(tmp_path) as store:
        await store.set("a", b"1")
        blocker = sqlite3.connect(the_file(tmp_path), isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")

        await store.set("a", b"2")
        await store.set("a", b"2")

        assert await store.get("a") == b"1"  # readers wait for nobody
        assert ["locked" in record.message for record in caplog.records] == [True]
        async with DiskCacheStore(tmp_path, strict=True) as strict:
            with pytest.raises(CacheStoreError, match="locked"):
                await strict.set("a", b"2")
        with pytest.raises(CacheStoreError, match="locked"):  # whoever deletes must know
            await store.delete("a")
        blocker.close()
        await store.set("a", b"3")
        assert await store.get("a") == b"3"


async def test_a_waiting_store_does_not_hold_up_a_cancelled_task(tmp_path: Path) -> None:
    async with DiskCacheStore(tmp_path) as store:
        await store.set("a", b"1")
        blocker = sqlite3.connect(the_file(tmp_path), isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with anyio.move_on_after(0.05) as scope:
            await store.set("a", b"2")
        assert scope.cancelled_caught
        blocker.execute("ROLLBACK")
        blocker.close()


async def test_a_store_that_nobody_closes_leaves_no_warning(tmp_path: Path) -> None:
    await DiskCacheStore(tmp_path).set("a", b"1")


def test_threads_with_loops_of_their_own_use_it_at_once(tmp_path: Path) -> None:
    store = DiskCacheStore(tmp_path)
    wrong: list[str] = []

    async def use(number: int) -> None:
        for turn in range(20):
            key = f"{(number + turn) % 7}"
            await store.set(key, value_of(key, 100))
            if not is_right(key, await store.get(key) or b""):
                wrong.append(key)

    threads = [threading.Thread(target=anyio.run, args=(use, number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong


# ---------------------------------------------------------------------- kills


def used_and_killed(folder: Path, rounds: int, chance: random.Random) -> None:
    """Eight processes at once, each killed at some moment, and started again, so many times."""

    def start(seed: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, PROCESS, folder, str(seed), "1000000"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    running = [start(number) for number in range(8)]
    try:
        for number in range(rounds):
            place = chance.randrange(8)
            process = running[place]
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 30)):  # at work for certain, wherever it is in it
                line = process.stdout.readline()
                assert line == b"turn\n", (line, process.communicate()[1].decode()[-2000:])
            process.kill()
            process.communicate()
            running[place] = start(100 + number)
    finally:
        ended = []
        for process in running:
            process.kill()
            ended.append(process.communicate())
    assert not [told for told, errors in ended if b"WRONG" in told or errors]


async def after_the_kills(folder: Path) -> None:
    async with DiskCacheStore(folder, max_bytes=2_000_000, strict=True) as store:
        found = {key: await store.get(key) for key in (f"key {number}" for number in range(200))}
        right = [key for key, value in found.items() if value is not None and is_right(key, value)]
        await store.set("key 1", value_of("key 1", 10))

    assert len(right) > 20
    assert all(value is None or is_right(key, value) for key, value in found.items())
    assert "entries-v1-0.sqlite3" in files(folder)  # never replaced
    assert (folder / "entries-v1-0.sqlite3").stat().st_size < 2_300_000
    with sqlite3.connect(folder / "entries-v1-0.sqlite3") as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    file.close()


def test_processes_that_are_killed_lose_and_mix_up_nothing(tmp_path: Path) -> None:
    used_and_killed(tmp_path, 8, random.Random(1))
    anyio.run(after_the_kills, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_processes_that_are_killed_for_long_lose_and_mix_up_nothing(tmp_path: Path, seed: int) -> None:
    used_and_killed(tmp_path, 100, random.Random(seed))
    anyio.run(after_the_kills, tmp_path)
