"""A base whose architecture is code in its repository: run where its commit is named, and nowhere else."""

from pathlib import Path

import pytest

from hubtune.errors import ConfigError, ModelError, RemoteCodeError
from tests.end_to_end.worlds import World
from tests.remote_code import make_lantern

ANOTHER = "c" * 40


@pytest.fixture(scope="module")
def lantern(once, seeded: World) -> World:
    """A world whose Hub has such a base; its code makes the file `ran` beside it. For reading only."""

    def make(folder: Path) -> None:
        world = seeded.copy(folder)
        make_lantern(folder / "lantern", folder / "ran")
        (folder / "lantern" / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# A lantern\n")
        world.done("hub", "import", folder / "lantern", "lab/lantern", "--hub", world.hub)
        with world.served() as api:
            (folder / "commit").write_text(str(api.model_info("lab/lantern").sha))

    return World(once("lantern", make))


@pytest.fixture
def world(lantern: World, tmp_path: Path) -> World:
    world = lantern.copy(tmp_path / "world")
    world.config(base__repo="lab/lantern", train__epochs=1)
    return world


@pytest.fixture
def ran(lantern: World) -> Path:
    """The file that shows that the code was run; not there yet."""
    file = lantern.root / "ran"
    file.unlink(missing_ok=True)
    return file


def commit_of(world: World) -> str:
    return (world.root / "commit").read_text()


@pytest.mark.parametrize("allowed", [None, pytest.param(ANOTHER, marks=pytest.mark.full_trial)])
def test_code_that_is_not_allowed_is_not_run(world: World, ran: Path, allowed: str | None):
    options = [] if allowed is None else ["-s", f"base.allow_remote_code={allowed}"]

    done = world.hubtune("run", "--hub", world.hub, *options)

    done.refused(RemoteCodeError, "lab/lantern", f"base.allow_remote_code: {commit_of(world)}")
    assert not ran.exists()
    assert not list((world.root / "home").rglob("*.py"))


def test_a_release_on_allowed_code_is_loaded_verified_and_used_by_those_who_allow_it_too(world: World, ran: Path):
    commit = commit_of(world)
    allowed = ("--allow-remote-code", commit)

    made = world.done(
        *("--json", "run", "--push", "lab/tuned", "--hub", world.hub, "--run-dir", "run"),
        *("-s", f"base.allow_remote_code={commit}"),
    ).document

    assert ran.exists()
    ran.unlink()
    assert [path for path in made["files"] if path.endswith(".py")] == []
    card = (world.run_dir / "README.md").read_text()
    assert "**Loading `lab/lantern` runs Python code from its repository.**" in card
    program = card.partition("```python\n")[2].partition("```")[0]
    with world.served() as api:
        shown = world.python(program, HF_ENDPOINT=api.endpoint)
    assert shown.code == 0, shown.err
    assert ran.exists()
    ran.unlink()

    unknown = world.done("--json", "verify", "lab/tuned@v1.0.0", "--evaluate", "--hub", world.hub).document
    claims = {claim["name"]: claim for claim in unknown["claims"]}
    assert [name for name, claim in claims.items() if claim["status"] == "contradicted"] == []
    for name in ("model", "probe", "evaluation"):
        assert claims[name]["status"] == "unchecked"
    assert f"--allow-remote-code {commit}" in claims["model"]["detail"]
    world.hubtune("generate", "lab/tuned@v1.0.0", "Quote", "--hub", world.hub).refused(
        RemoteCodeError, "--allow-remote-code"
    )
    assert not ran.exists()

    known = world.done("--json", "verify", "lab/tuned@v1.0.0", "--evaluate", *allowed, "--hub", world.hub).document
    claims = {claim["name"]: claim for claim in known["claims"]}
    for name in ("model", "probe", "evaluation"):
        assert claims[name]["status"] == "confirmed", claims[name]
    written = world.done("generate", "lab/tuned@v1.0.0", "Quote", *allowed, "--hub", world.hub)
    assert written.out.strip()
    merging = world.hubtune("merge", "lab/tuned@v1.0.0", "merged", "--hub", world.hub)
    merging.refused(ModelError, "code in its repository")


def test_code_that_fails_while_it_runs_is_told_from_a_fault_of_hubtune(world: World):
    with world.served() as api:
        commit = api.upload_file(
            path_or_fileobj=(world.root / "lantern" / "modeling_lantern.py").read_bytes().replace(b"0.5", b"1 / 0"),
            path_in_repo="modeling_lantern.py",
            repo_id="lab/lantern",
        ).oid

    done = world.hubtune("run", "--hub", world.hub, "-s", f"base.allow_remote_code={commit}")

    done.refused(ModelError, "lab/lantern", "division by zero", "own code", "hubtune --traceback")


@pytest.mark.parametrize(
    "setting",
    [
        "train.method=full",
        "publish.artifact=merged",
        "publish.counterpart=lab/whole",
        "data=[{repo: lab/quotes, format: classification}]",
    ],
)
def test_what_would_need_the_code_in_the_release_is_refused(world: World, setting: str):
    done = world.hubtune("check", "--hub", world.hub, "-s", f"base.allow_remote_code={ANOTHER}", "-s", setting)

    done.refused(ConfigError, "base.allow_remote_code is for")
