"""`DiskCacheStore`: entries in an SQLite file, for as many processes as there are."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import secrets
import sqlite3
import time
import zlib
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

from modelwire.cache._ttl import checked_ttl
from modelwire.errors import CacheStoreError
from modelwire.protocols import LockingCacheStore

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")

logger = logging.getLogger("modelwire")

_LAYOUT = 1
"""Of the tables below: another layout lies in files of other names."""
_APPLICATION_ID = 0x6D776331
"""By which SQLite files of this program are known: `mwc1`."""
_TABLES = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA application_id = {_APPLICATION_ID};
CREATE TABLE entries (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL, expires REAL, used REAL NOT NULL
);
CREATE INDEX entries_by_use ON entries (used);
CREATE INDEX entries_by_end ON entries (expires) WHERE expires IS NOT NULL;
CREATE TABLE locks (key TEXT PRIMARY KEY, owner TEXT NOT NULL, expires REAL NOT NULL);
"""
_FILE = re.compile(rf"entries-v{_LAYOUT}-(\d+)\.sqlite3")
_BUSY = 5.0
"""Seconds to wait for another process that writes."""
_FRESH = 60.0
"""Seconds in which a second use of an entry is not noted."""
_NOTED = 1000
"""Uses to remember until the next entry is stored, which is when they are written."""
_STALE = 3600.0
"""Seconds after which a half-made file is that of a process that was killed."""

_threads: RunVar[CapacityLimiter] = RunVar("modelwire disk cache threads")
"""A few threads of its own in each event loop: work that waits for a lock here holds up nobody else's."""


class _Row(NamedTuple):
    value: bytes
    checksum: int
    expires: float | None
    used: float


class DiskCacheStore(LockingCacheStore):
    """Entries in a folder, which outlive the process and are shared by all processes of this machine that name it.

    The least recently used go first when there are too many. A process that is killed loses nothing that was stored; a
    damaged file is replaced by an empty one, with a warning in the log. A disk that is full or fails makes calls
    uncached, with one warning, unless `strict` is set. The folder must be on a disk of this machine: SQLite's
    write-ahead log does not work over a network. It is made for its owner alone (mode 0700), and so is the file in it
    (0600), since it holds conversations.
    """

    def __init__(
        self,
        cache_dir: str | os.PathLike[str],
        *,
        max_bytes: int = 1024 * 1024 * 1024,
        ttl: float | None = None,
        strict: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is opened or made before the first use.

        `max_bytes` bounds the file, beside a log of some 4 MB; a value that is larger alone is not stored. `ttl` is for
        entries that are stored without one of their own: seconds, `None` for no limit. `now` gives the Unix time, for
        tests.
        """
        if max_bytes < 1:
            raise ValueError(f"max_bytes={max_bytes}: at least 1 is needed")
        self.cache_dir = Path(cache_dir)
        self._max_bytes = max_bytes
        self._ttl = checked_ttl(ttl)
        self._strict = strict
        self._now = now
        self._connection: sqlite3.Connection | None = None
        self._path = self.cache_dir
        self._uses: dict[str, float] = {}
        self._guard = Lock()
        self._process = os.getpid()
        self._inherited: object = None
        self._failing: set[str] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}(cache_dir={str(self.cache_dir)!r})"

    # ------------------------------------------------------------------ the verbs

    async def get(self, key: str) -> bytes | None:
        """What is stored under this name; see `CacheStore.get`."""
        return await self._do("get", lambda file: self._read(file, key))

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Store it; see `CacheStore.set`."""
        lives = self._ttl if ttl is None else checked_ttl(ttl)
        await self._do("set", lambda file: self._write(file, key, value, lives))

    async def delete(self, key: str) -> None:
        """Forget this one.

        Raises `CacheStoreError` when the disk does not let it.
        """
        statement = "DELETE FROM entries WHERE key = ?"
        await self._do("delete", lambda file: file.execute(statement, (key,)).rowcount, strict=True)

    async def clear(self) -> None:
        """Forget everything, and give the space back to the disk.

        Raises `CacheStoreError` when the disk does not let it.
        """
        await self._do("clear", _emptied, strict=True)

    async def lock(self, key: str, owner: str, *, ttl: float) -> bool:
        """Take a lock; see `LockingCacheStore.lock`. On a disk that fails everybody has it."""
        now = self._now()
        values = {"key": key, "owner": owner, "expires": now + ttl, "now": now}
        return await self._do("lock", lambda file: file.execute(_LOCK, values).rowcount) != 0

    async def unlock(self, key: str, owner: str) -> None:
        """Give a lock back."""
        statement = "DELETE FROM locks WHERE key = ? AND owner = ?"
        await self._do("unlock", lambda file: file.execute(statement, (key, owner)).rowcount)

    async def aclose(self) -> None:
        """Close the file; repeatable. Whatever is asked of the store afterwards raises `CacheStoreError`."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._close, limiter=_limiter())

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None and self._process == os.getpid():
            connection.close()

    async def _do(self, verb: str, work: Callable[[sqlite3.Connection], T], *, strict: bool = False) -> T | None:
        """Do it in a thread; `None` where the disk fails."""
        if self._closed:
            raise CacheStoreError(f"{self!r} is closed")
        # A wait for another process's lock must not hold up a cancelled task; the thread ends its work by itself.
        return await anyio.to_thread.run_sync(
            self._run, verb, work, strict or self._strict, limiter=_limiter(), abandon_on_cancel=True
        )

    # ------------------------------------------------------------------ in a thread

    def _run(self, verb: str, work: Callable[[sqlite3.Connection], T], strict: bool) -> T | None:
        if self._process != os.getpid():
            self._after_fork()
        with self._guard:
            if self._closed:  # meanwhile, and the task that asked for this was cancelled
                return None
            try:
                done = self._attempts(work)
            except (sqlite3.Error, OSError) as error:
                self._drop_connection()
                if strict or _is_misuse(error):
                    raise CacheStoreError(f"{self!r}: {error}") from error
                if verb not in self._failing:
                    self._failing.add(verb)
                    logger.warning("%r fails to %s, so that calls are not cached: %s", self, verb, error)
                return None
            self._failing.discard(verb)
            return done

    def _attempts(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do it, on a new file where this one is damaged or gone."""
        for _ in range(2):
            try:
                return work(self._opened())
            except sqlite3.Error as error:
                if self._path.exists():
                    if not _is_damage(error):
                        raise
                    logger.warning("%s is damaged (%s): the cache begins anew", self._path, error)
                    self._replace()
                self._drop_connection()
        return work(self._opened())

    def _opened(self) -> sqlite3.Connection:
        # Another process may have found the file damaged and replaced it, or somebody may have emptied the folder.
        if self._connection is not None and self._path.exists():
            return self._connection
        self._drop_connection()
        self._path = _newest(self.cache_dir) or _created(self.cache_dir, 0)
        # Not to be made here: who makes one does it in `_created`.
        address = f"{self._path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(address, uri=True, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        try:
            self._check(connection)
            connection.execute("PRAGMA synchronous = NORMAL")  # in WAL mode safe against all but the loss of power
            connection.execute("PRAGMA journal_size_limit = 4194304")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Raises `CacheStoreError` for another program's database."""
        (known,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if known != _APPLICATION_ID and tables:
            raise CacheStoreError(f"{self._path} is another program's database: name another cache_dir")

    def _replace(self) -> None:
        """Go on with a new file.

        Its name is new, because other processes may still have the damaged one open, and would take a log of the same
        name for theirs; they find it gone, and follow.
        """
        damaged = self._path
        self._drop_connection()
        number = _FILE.fullmatch(damaged.name)
        assert number is not None
        _created(self.cache_dir, int(number[1]) + 1)
        for end in ("", "-wal", "-shm"):
            damaged.with_name(damaged.name + end).unlink(missing_ok=True)

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _close(self) -> None:
        with self._guard:
            self._drop_connection()

    def _after_fork(self) -> None:
        """A child must neither use nor close its parent's connection, which would release the parent's locks."""
        self._inherited, self._connection = self._connection, None
        self._guard = Lock()
        self._process = os.getpid()

    def _read(self, file: sqlite3.Connection, key: str) -> bytes | None:
        found = file.execute("SELECT value, checksum, expires, used FROM entries WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        row = _Row(*found)
        now = self._now()
        if row.expires is not None and row.expires <= now:
            return None
        if row.checksum != _checksum(key, row.value):
            logger.warning("an entry of %r is damaged and was dropped", self)
            file.execute("DELETE FROM entries WHERE key = ?", (key,))
            return None
        if now - row.used > _FRESH and len(self._uses) < _NOTED:
            # Noted with the next entry that is stored: until then nothing is evicted, and reading writes nothing.
            self._uses[key] = now
        return row.value

    def _write(self, file: sqlite3.Connection, key: str, value: bytes, ttl: float | None) -> None:
        now = self._now()
        expires = None if ttl is None else now + ttl
        with _transaction(file):
            file.executemany("UPDATE entries SET used = ? WHERE key = ?", [(at, of) for of, at in self._uses.items()])
            file.execute("DELETE FROM entries WHERE expires <= ?", (now,))
            if len(value) > self._max_bytes:
                file.execute("DELETE FROM entries WHERE key = ?", (key,))
            else:
                file.execute(_STORE, (key, value, _checksum(key, value), expires, now))
                self._evict(file, key)
        self._uses.clear()

    def _evict(self, file: sqlite3.Connection, kept: str) -> None:
        """Make room where there is too much: down to nine tenths, so that it need not be done each time."""
        excess = _size(file) - self._max_bytes
        if excess <= 0:
            return
        excess += self._max_bytes // 10
        oldest: list[tuple[str]] = []
        for key, size in file.execute("SELECT key, length(value) FROM entries WHERE key != ? ORDER BY used", (kept,)):
            oldest.append((key,))
            excess -= size
            if excess <= 0:
                break
        file.executemany("DELETE FROM entries WHERE key = ?", oldest)


_STORE = (
    "INSERT INTO entries VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value,"
    " checksum = excluded.checksum, expires = excluded.expires, used = excluded.used"
)
_LOCK = (
    "INSERT INTO locks VALUES (:key, :owner, :expires) ON CONFLICT (key) DO UPDATE SET owner = excluded.owner,"
    " expires = excluded.expires WHERE locks.expires <= :now OR locks.owner = :owner"
)


def _limiter() -> CapacityLimiter:
    try:
        return _threads.get()
    except LookupError:
        limiter = CapacityLimiter(4)
        _threads.set(limiter)
        return limiter


def _checksum(key: str, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(key.encode()))


def _size(file: sqlite3.Connection) -> int:
    """Bytes of the file that are in use."""
    pragmas = ("page_count", "freelist_count", "page_size")
    pages, free, each = (int(file.execute(f"PRAGMA {name}").fetchone()[0]) for name in pragmas)
    return (pages - free) * each


def _emptied(file: sqlite3.Connection) -> None:
    file.execute("DELETE FROM entries")
    # A script, since `execute` would give back one page of the many.
    file.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")


@contextlib.contextmanager
def _transaction(file: sqlite3.Connection) -> Generator[None]:
    file.execute("BEGIN IMMEDIATE")
    try:
        yield
        file.execute("COMMIT")
    except BaseException:
        if file.in_transaction:  # SQLite ends it by itself after some errors
            file.execute("ROLLBACK")
        raise


# ---------------------------------------------------------------------- what went wrong


def _code(error: Exception) -> int:
    """The primary result code of SQLite; 0 where the error is not its own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is not what was written: `SQLITE_ERROR` is a table that is missing."""
    short = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHORT_READ
    return short or _code(error) in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_SCHEMA,
    )


def _is_misuse(error: sqlite3.Error | OSError) -> bool:
    """Whether it would fail in the same way for ever: a folder that is a file, or may not be read or written."""
    if isinstance(error, OSError):
        return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR)
    return _code(error) in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


# ---------------------------------------------------------------------- files


def _newest(folder: Path) -> Path | None:
    """The file to use: the one of the highest number; `None` when there is none."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return None
    numbered = [(int(found[1]), name) for name in names if (found := _FILE.fullmatch(name))]
    return folder / max(numbered)[1] if numbered else None


def _created(folder: Path, number: int) -> Path:
    """A new file of this number, or the one that another process made meanwhile.

    It gets its name when it is complete, so that nobody ever opens half of one.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"entries-v{_LAYOUT}-{number}.sqlite3"
    made = folder / f"making-{secrets.token_hex(8)}.sqlite3"
    try:
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with contextlib.closing(sqlite3.connect(made, isolation_level=None)) as connection:
            connection.executescript(_TABLES)
        _named(made, path)
    finally:
        made.unlink(missing_ok=True)
    _clean(folder)
    return path


def _named(made: Path, path: Path) -> None:
    """Give it its name, unless that is taken."""
    try:
        os.link(made, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not path.exists():
            made.rename(path)


def _clean(folder: Path) -> None:
    """Remove what processes left that were killed while they made a file."""
    for left in folder.glob("making-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE:
                left.unlink()
