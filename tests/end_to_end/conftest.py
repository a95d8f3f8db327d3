"""Worlds to test in.

The expensive parts, models, imports and finished runs, are made once in a session, by the command; a test gets a copy,
which it may change.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.worlds import BASE_CARD, CHAT_TEMPLATE, DATA_CARD, TARGET, World, quote_rows, write_rows
from tests.once import Once

AUTH = """
users:
  - {name: ann, token: hf_annannann, orgs: [{name: lab}]}
  - {name: rob, token: hf_robrobrob, role: read, orgs: [{name: lab}]}
  - {name: pat, token: hf_patpatpat, role: pr}
  - {name: eve, token: hf_eveeveeve}
"""


@pytest.fixture(scope="session")
def sources(once: Once, gpt2: Path, llama: Path) -> Path:
    """Local folders to import: two tiny models and a dataset."""

    def make(folder: Path) -> None:
        for kind, made in (("gpt2", gpt2), ("llama", llama)):
            model = Path(shutil.copytree(made, folder / kind))
            (model / "README.md").write_text(BASE_CARD)
            (model / "chat_template.jinja").write_text(CHAT_TEMPLATE)
        write_rows(folder / "quotes" / "train.jsonl", quote_rows())
        (folder / "quotes" / "README.md").write_text(DATA_CARD)

    return once("sources", make)


@pytest.fixture(scope="session")
def seeded(once: Once, sources: Path) -> World:
    """A world with the models and the data on its Hub, brought there by `hubtune hub import`; for reading only."""

    def make(folder: Path) -> None:
        world = World(folder)
        world.work.mkdir()
        for name, arguments in {"gpt2": [], "llama": [], "quotes": ["--type", "dataset"]}.items():
            world.done("hub", "import", sources / name, f"lab/{name}", *arguments, "--hub", world.hub)
        world.config()

    return World(once("seeded", make))


def _release(seeded: World, folder: Path, kind: str) -> None:
    world = seeded.copy(folder)
    world.forget_requests()
    world.config(base__repo=f"lab/{kind}")
    # On a GPT-2 by the installed command, with all of its own imports.
    start = world.installed if kind == "gpt2" else world.hubtune
    done = start("--json", "run", "--push", TARGET, "--hub", world.hub, "--run-dir", "run")
    assert done.code == 0, done.err
    (folder / "stdout").write_text(done.out)
    (folder / "stderr").write_text(done.err)


@pytest.fixture(scope="session")
def released_on(once: Once, seeded: World) -> Callable[[str], World]:
    """Gives a world where `hubtune --json run --push` was done on a GPT-2 (fused Conv1D layers) or Llama (linear ones).

    They are for reading only.
    """
    return lambda kind: World(once(f"released-{kind}", lambda folder: _release(seeded, folder, kind)))


@pytest.fixture(scope="session")
def released(released_on: Callable[[str], World]) -> World:
    """The one on a GPT-2; for reading only."""
    return released_on("gpt2")


@pytest.fixture(scope="session")
def rehearsed(once: Once, released: World) -> World:
    """The released world after a second run, in `run2`, with another seed and without `--push`; for reading only.

    It was done with a token that may only read, after the dataset's main branch had moved on. `log` is the request
    log of that run.
    """

    def make(folder: Path) -> None:
        world = released.copy(folder)
        with world.served() as api:
            world.extend_data(api)
        world.forget_requests()
        with world.served(auth_file(folder)) as api:
            done = world.done(
                *("--json", "--quiet", "run", "--run-dir", "run2", "-s", "train.seed=43"),
                HF_ENDPOINT=api.endpoint,
                HF_TOKEN="hf_robrobrob",
            )
        (folder / "stdout").write_text(done.out)
        (folder / "stderr").write_text(done.err)

    return World(once("rehearsed", make))


def auth_file(folder: Path) -> Path:
    """Writes an auth file: ann may write to `lab`, rob may read it, pat may propose, eve is a stranger."""
    path = folder / "auth.yaml"
    path.write_text(AUTH)
    return path


@pytest.fixture
def auth(tmp_path: Path) -> Path:
    """See `auth_file`."""
    return auth_file(tmp_path)


@pytest.fixture
def world(seeded: World, tmp_path: Path) -> World:
    """A world whose Hub holds the inputs: a copy, free to be changed, with an empty request log."""
    copy = seeded.copy(tmp_path / "world")
    copy.forget_requests()
    return copy


@pytest.fixture
def finished(released: World, tmp_path: Path) -> World:
    """A world with a published run: a copy, free to be changed, with an empty request log."""
    copy = released.copy(tmp_path / "world")
    copy.forget_requests()
    return copy


@pytest.fixture
def bare(tmp_path: Path) -> World:
    """A world with nothing in it."""
    world = World(tmp_path / "world")
    world.work.mkdir(parents=True)
    return world


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk in memory with the given options, such as `size=200k`; gives its folder."""
    if os.geteuid() != 0:
        pytest.fail("This test mounts a disk, which root may do: run it as root, as CI does.")
    with ExitStack() as stack:

        def mount(options: str) -> Path:
            folder = Path(tempfile.mkdtemp(prefix="disk-", dir=tmp_path))
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
            stack.callback(subprocess.run, ["umount", str(folder)], check=True)
            return folder

        yield mount


@pytest.fixture
def tiny_disk(mount: Callable[[str], Path]) -> Callable[[str], Path]:
    """Mounts a disk of the given size, such as `200k`; gives its folder."""
    return lambda size: mount(f"size={size}")
