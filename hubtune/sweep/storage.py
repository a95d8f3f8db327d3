"""The storage of a sweep, which is Optuna's: SQLite, a journal, or a database server that several machines share."""

import contextlib
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from hubtune.errors import ConfigError, MissingExtraError, SweepError
from hubtune.files import file_errors, reason
from hubtune.hub.translate import mask

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage

_HEARTBEAT = 15
GRACE = 90
"""Seconds after which a worker that gave no sign of life is taken for gone."""
MOST_RETRIES = 3
"""How often a trial that was cut off is run again."""
_TRIES, _BETWEEN = 20, 0.1


@dataclass(frozen=True)
class Place:
    """Where a study is kept.

    Attributes:
        url: The database; None for a journal.
        file: The file, of SQLite or of a journal; None for a server.
    """

    url: str | None
    file: Path | None

    @classmethod
    def of(cls, storage: str, folder: Path) -> "Place":
        """Reads what a sweep file or an option says of the storage; relative paths start at `folder`.

        Raises:
            ConfigError: It holds a password.
        """
        if "://" not in storage:
            file = (folder / storage).absolute()
            return cls(None if file.suffix == ".journal" else f"sqlite:///{file}", file)
        scheme, _, rest = storage.partition("://")
        if ":" in rest.partition("/")[0].rpartition("@")[0]:
            raise ConfigError(
                "The storage's URL has a password in it, which would be stored in files and visible in process lists.",
                hint="Remove it, as in postgresql://user@host/database, and give it in PGPASSWORD or ~/.pgpass.",
            )
        # The driver that the extra brings; SQLAlchemy would look for another.
        scheme = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}.get(scheme, scheme)
        return cls(f"{scheme}://{rest}", None)

    @property
    def exists(self) -> bool:
        """Whether there is something already; of a server that is not known."""
        return self.file is None or self.file.exists()

    @property
    def shown(self) -> str:
        """What a config may say of it: no folder of this machine, no server."""
        return self.file.name if self.file is not None else "a database server"

    def __str__(self) -> str:
        return str(self.file or self.url)


def require_optuna() -> None:
    """Refuses to go on without Optuna.

    Raises:
        MissingExtraError: It is not installed.
    """
    if find_spec("optuna") is None:
        raise MissingExtraError(
            "A sweep needs Optuna, which is not installed.",
            hint='Install it: pip install "hubtune[sweep,train]"',
        )
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)


@contextlib.contextmanager
def storage_errors(place: Place) -> Iterator[None]:
    """Turns what a storage raises into an error that names it.

    Raises:
        SweepError: It cannot be reached, read or written, or is of another version.
        ConfigError: It is not the address of a database.
        MissingExtraError: The database's driver is not installed.
    """
    import sqlalchemy.exc
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (sqlalchemy.exc.NoSuchModuleError, sqlalchemy.exc.ArgumentError) as error:
        raise ConfigError(
            f"{place} is not a database URL that SQLAlchemy supports.",
            hint="Write a file name such as sweep.db, or a URL such as postgresql://user@host/database.",
        ) from error
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
        raise SweepError(
            f"The sweep's storage {place} cannot be used: {mask(reason(error.__cause__ or error))}.",
            hint="Check that it exists and is writable, or name another storage: --storage FILE",
        ) from error
    except ImportError as error:
        raise MissingExtraError(
            f"The driver of the storage {place} is not installed.",
            hint='Install it; PostgreSQL\'s comes with pip install "hubtune[sweep]".',
        ) from error


def open_storage(place: Place) -> "BaseStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from sqlalchemy.exc import IntegrityError, SQLAlchemyError

    if place.file is not None:
        with file_errors(place.file):
            place.file.parent.mkdir(parents=True, exist_ok=True)
    if place.url is None:
        path = str(place.file)
        try:
            return JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
        except (ValueError, KeyError) as error:
            raise _other_version(place, reason(error)) from error
    for _ in range(_TRIES):
        try:
            return _database(place)
        except (SQLAlchemyError, AssertionError) as error:
            # Another worker makes the tables at this moment.
            if not (isinstance(error, AssertionError | IntegrityError) or "exists" in str(error)):
                raise
            failed = error
        except RuntimeError as error:
            raise _other_version(place, reason(error)) from error
        time.sleep(_BETWEEN)
    raise _other_version(place, reason(failed)) from failed


def _database(place: Place) -> "RDBStorage":
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

    assert place.url is not None, "a journal is not a database"
    # Two workers that write to one SQLite file wait for each other.
    waiting: dict[str, Any] = {"connect_args": {"timeout": 60}} if place.file is not None else {}
    with unheeded():
        storage = RDBStorage(
            place.url,
            engine_kwargs=waiting,
            heartbeat_interval=_HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=MOST_RETRIES),
        )
    if place.file is not None:
        _lock_from_the_first_read(storage)
    return storage


def _lock_from_the_first_read(storage: "RDBStorage") -> None:
    """Has each transaction on SQLite hold its lock from the beginning, not from its first change.

    Optuna reads a trial's state and then changes it. Python's driver begins a transaction at the change alone, and
    SQLite has no SELECT FOR UPDATE, so two workers could take one trial. The listeners are those that SQLAlchemy
    documents for that driver.
    """
    from sqlalchemy import event

    event.listen(storage.engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(storage.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    # Connections that were opened before begin as they did.
    storage.engine.dispose()


def _other_version(place: Place, why: str) -> SweepError:
    return SweepError(
        f"{place} is not a storage that this version of Optuna can use: {why}.",
        hint="Name another file as `storage` in the sweep file; or bring this one up to date by Optuna: "
        "optuna storage upgrade --storage URL",
    )


@contextlib.contextmanager
def unheeded() -> Iterator[None]:
    """Without Optuna's warnings that its heartbeats are new."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def alive(storage: "BaseStorage", trial: int) -> Iterator[None]:
    """Shows by a heartbeat, if the storage has one, that the worker of a trial lives."""
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage

    if not isinstance(storage, RDBStorage):
        yield
        return
    ended = Event()

    def beat() -> None:
        # A beat that a busy storage refuses is made up for by the next.
        with contextlib.suppress(StorageInternalError):
            storage.record_heartbeat(trial)

    def go_on() -> None:
        while not ended.wait(_HEARTBEAT):
            beat()
        storage.remove_session()

    # The first at once: a trial without any would never be taken for one whose worker is gone.
    beat()
    thread = Thread(target=go_on, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
