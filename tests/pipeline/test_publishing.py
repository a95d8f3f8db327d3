"""`hubtune publish` with its options: a dry run, a pull request, a branch, a message, a private repository, secrets."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from hubtune.cli.app import app
from hubtune.errors import (
    CanariesError,
    ConfigError,
    EditedCardError,
    PermissionDeniedError,
    RecordError,
    SecretFoundError,
)
from hubtune.pipeline.check import check_run
from hubtune.pipeline.context import RunOptions
from hubtune.records.base import LicenseRecord, PinSet, Record
from hubtune.records.data import CanaryRecord, DataRecord
from hubtune.records.release import PlanRecord, ReleaseRecord
from hubtune.records.results import EvaluationRecord, ProbeRecord, TrainingRecord
from hubtune.records.rundir import RunDirectory
from tests.sample_runs import BASE_COMMIT, BASE_REPO, DATA_COMMIT, DATA_REPO, finished_run, sample_config
from tests.served_hub import ServedHub, serve

REPO = "org/tuned"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedHub]:
    """A Hub with accounts, and the snapshots of the run's inputs in the client's cache."""
    with serve(tmp_path / "hub", tmp_path / "cache", monkeypatch, guarded=True) as hub:
        for kind, repo, commit in (("models", BASE_REPO, BASE_COMMIT), ("datasets", DATA_REPO, DATA_COMMIT)):
            snapshot = hub.cache / f"{kind}--{repo.replace('/', '--')}" / "snapshots" / commit
            snapshot.mkdir(parents=True)
            (snapshot / "tokenizer.json").write_text('{"version": "1.0"}')
        yield hub


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return finished_run(tmp_path / "run")


@pytest.fixture
def hubtune(hub: ServedHub) -> Callable[..., str]:
    """Runs a command in this process; gives what it prints on stdout."""

    def call(*arguments: str | Path) -> str:
        done = CliRunner().invoke(app, ["--quiet", *map(str, arguments)], catch_exceptions=False, standalone_mode=False)
        return done.stdout

    return call


def planned(hubtune: Callable[..., str], run: RunDirectory, *arguments: str) -> PlanRecord:
    return PlanRecord.model_validate_json(hubtune("--json", "publish", run.path, "--dry-run", *arguments))


def released(hubtune: Callable[..., str], run: RunDirectory, *arguments: str) -> ReleaseRecord:
    return ReleaseRecord.model_validate_json(hubtune("--json", "publish", run.path, *arguments))


def folder(run: RunDirectory) -> dict[str, bytes]:
    return {path.relative_to(run.path).as_posix(): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def test_a_dry_run_tells_everything_and_neither_writes_nor_asks_to(hub, hubtune, run):
    head = hub.commit(REPO, {"README.md": b"---\nlicense: apache-2.0\ntags: [old]\n---\n# Mine\n", "LICENSE": b"x"})
    before, seen = folder(run), len(hub.requests())

    plan = planned(hubtune, run, "--tag", "v1.2.0", "--message", "Second light")

    assert {line["method"] for line in hub.requests()[seen:]} == {"GET"}
    assert folder(run) == before
    assert (plan.repo, plan.exists, plan.parent, plan.branch) == (REPO, True, head, "main")
    assert (plan.tag, plan.message, plan.published, plan.pull_request) == ("v1.2.0", "Second light", None, False)
    changes = {file.path: file.change for file in plan.files}
    assert (changes["README.md"], changes["LICENSE"], changes["hubtune.json"]) == ("changed", "changed", "added")
    metadata = {change.key: (change.change, change.before, change.after) for change in plan.metadata}
    assert metadata["license"] == ("changed", "apache-2.0", "mit")
    assert metadata["base_model"][0] == "added"


def test_what_a_dry_run_says_is_what_is_published(hub, hubtune, run, tmp_path: Path):
    hubtune("publish", run.path)
    (run.path / "NOTICE").write_text("not part of it")
    second = finished_run(tmp_path / "second", "publish.tag=v1.1.0", weights=b"other weights")
    first_files = set(hub.api.list_repo_files(REPO))
    plan = planned(hubtune, second)

    record = released(hubtune, second)

    assert record.files == {file.path: file.sha256 for file in plan.files}
    assert plan.parent == [commit.commit_id for commit in hub.api.list_repo_commits(REPO)][1]
    after = set(hub.api.list_repo_files(REPO))
    assert first_files - after == set(plan.delete)
    unchanged = {file.path for file in plan.files if file.change == "unchanged"}
    paths = [file.path for file in plan.files]
    old = {info.path: info.blob_id for info in hub.api.get_paths_info(REPO, paths, revision=plan.parent)}
    new = {info.path: info.blob_id for info in hub.api.get_paths_info(REPO, paths)}
    assert unchanged == {path for path in new if old.get(path) == new[path]}
    assert planned(hubtune, second).published == record.commit


def test_a_dry_run_for_a_new_repository_says_that_it_would_be_created(hub, hubtune, run):
    shown = hubtune("publish", run.path, "--dry-run", "--private")

    assert f"{REPO}, which would be created as private" in shown
    assert "Nothing was changed." in shown
    assert not hub.api.repo_exists(REPO)
    plan = planned(hubtune, run)
    assert (plan.exists, plan.parent, plan.delete) == (False, None, [])
    assert {file.change for file in plan.files} == {"added"}


def test_branch_message_and_visibility_of_the_command_line_are_honoured(hub, hubtune, run):
    record = released(hubtune, run, "--branch", "next", "--message", "First light", "--private")

    (head, *_) = hub.api.list_repo_commits(REPO, revision="next")
    assert (head.commit_id, head.title, record.branch) == (record.commit, "First light", "next")
    assert hub.tags(REPO) == {"v1.0.0": record.commit}
    assert hub.api.model_info(REPO).private is True
    assert hub.head(REPO) != record.commit
    published = run.config().publish
    assert (published.branch, published.message, published.private) == ("next", "First light", True)


def test_a_pull_request_is_recorded_with_what_is_left_to_do(hub, hubtune, run, monkeypatch):
    hub.commit(REPO, {"notes.md": b"theirs"})
    monkeypatch.setenv("HF_TOKEN", "hf_patpatpat")

    shown = hubtune("publish", run.path, "--create-pr")

    record = run.read(ReleaseRecord)
    assert record.pull_request == f"{hub.url}/{REPO}/discussions/1"
    assert record.pull_request in shown
    assert f"hubtune release tag {REPO} COMMIT v1.0.0" in shown
    assert hub.api.model_info(REPO, revision="refs/pr/1").sha == record.commit
    assert hub.tags(REPO) == {}
    assert released(hubtune, run, "--create-pr") == record
    assert planned(hubtune, run, "--create-pr").pull_request is True
    assert len(list(hub.api.get_repo_discussions(REPO))) == 1


def test_who_may_not_push_is_told_of_pull_requests_and_changes_nothing(hub, hubtune, run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_patpatpat")
    before = folder(run)

    with pytest.raises(PermissionDeniedError) as caught:
        hubtune("publish", run.path)

    assert "--create-pr" in str(caught.value.hint)
    assert folder(run) == before
    assert {line["method"] for line in hub.requests()} == {"GET"}


SECRET = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz01234567"


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)], ids=["publish", "dry run"])
def test_a_secret_in_a_statement_stops_the_release_before_any_request(hub, hubtune, tmp_path, arguments):
    run = finished_run(tmp_path / "leaky", f"card.intended_use=Log in with {SECRET}.")

    with pytest.raises(SecretFoundError) as caught:
        hubtune("publish", run.path, *arguments)

    assert any(detail.startswith("README.md, line ") for detail in caught.value.details)
    assert SECRET not in "\n".join([caught.value.message, *caught.value.details])
    assert hub.requests() == []


def test_a_secret_in_the_message_stops_the_release(hub, hubtune, run):
    with pytest.raises(SecretFoundError) as caught:
        hubtune("publish", run.path, "--message", f"Pushed with {hub.token}")

    assert "the commit's message, line 1: the token in use" in caught.value.details
    assert hub.requests() == []


def test_a_secret_in_the_config_is_found_before_training(hub, listener, tmp_path):
    file = tmp_path / "hubtune.yaml"
    file.write_text(f"# a config\n# {SECRET}\n")

    checks = check_run(sample_config(), file, RunOptions(publish=True, run_dir=tmp_path), listener)

    assert any(f"{file}, line 2: a Hugging Face token" in finding.detail for finding in checks.findings)
    assert any(isinstance(failure, SecretFoundError) for failure in checks.failures)


def test_a_run_with_canaries_is_not_published_whatever_its_config_says_now(hub, hubtune, tmp_path):
    planted = CanaryRecord(rows=10, tokens=200, format="{word} {secret}", digits=9, seed=42)
    run = finished_run(tmp_path / "planted", canaries=planted)
    before = folder(run)

    for option in ([], ["--dry-run"], ["--create-pr"]):
        with pytest.raises(CanariesError, match="10 planted secrets") as caught:
            hubtune("publish", run.path, *option)
        assert caught.value.exit_code == 55
        assert "evaluate.canaries" in str(caught.value.hint)

    assert hub.requests() == []
    assert folder(run) == before


def test_canaries_are_refused_before_training_where_the_run_is_to_be_published(hub, listener, tmp_path):
    config = sample_config("evaluate.canaries=10")

    pushed, kept = (
        check_run(config, tmp_path / "hubtune.yaml", RunOptions(publish=publish, run_dir=tmp_path), listener)
        for publish in (True, False)
    )

    assert [finding.status for finding in pushed.findings if finding.check == "canaries"] == ["error"]
    assert any(isinstance(failure, CanariesError) for failure in pushed.failures)
    assert not any(finding.check == "canaries" for finding in kept.findings)
    assert not any(isinstance(failure, CanariesError) for failure in kept.failures)


@pytest.mark.parametrize(
    "branch", ["refs/heads/x", "a b", "a..b", "-x", "HEAD", "x.lock", "a//b", "x/", "@{", "v1.0.0"]
)
def test_what_git_would_not_make_a_branch_is_refused_before_any_request(hub, hubtune, run, branch: str):
    with pytest.raises(ConfigError) as caught:
        hubtune("publish", run.path, f"--branch={branch}")

    assert "branch" in "\n".join(caught.value.details)
    assert hub.requests() == []


def test_a_pull_request_for_a_branch_is_refused(hub, hubtune, run):
    with pytest.raises(ConfigError, match="to the branch main") as caught:
        hubtune("publish", run.path, "--create-pr", "--branch", "next")

    assert "--branch" in str(caught.value.hint)


def test_a_pull_request_needs_push_on_run(hubtune, tmp_path):
    config = tmp_path / "hubtune.yaml"
    config.write_text("base: {repo: org/base}\ndata: [{repo: org/s, text: q}]\npublish: {repo: org/tuned}\n")

    with pytest.raises(ConfigError, match="--create-pr is for a run that is published"):
        hubtune("run", config, "--create-pr")


EDITED = ["README.md", "images/loss.png"]


@pytest.mark.parametrize("name", EDITED)
def test_what_was_edited_by_hand_is_not_published_over(hub, hubtune, run, name: str):
    hubtune("card", "render", run.path)
    (run.path / name).write_bytes((run.path / name).read_bytes() + b"\nMy own words.\n")
    before, asked = folder(run), len(hub.requests())

    for option in ([], ["--dry-run"], ["--create-pr"], ["--push", "org/other", "--counterpart"]):
        with pytest.raises(EditedCardError, match=f"{name} in .* edited by hand") as caught:
            hubtune("publish", run.path, *option)

    assert f"hubtune card render {run.path}" in str(caught.value.hint)
    assert "intended_use" in caught.value.details[0]
    assert folder(run) == before
    assert len(hub.requests()) == asked


@pytest.mark.parametrize("name", EDITED)
def test_rendering_the_card_anew_keeps_each_version_that_was_edited_by_hand(hubtune, run, name: str):
    hubtune("card", "render", run.path)
    rendered = (run.path / name).read_bytes()
    stem, suffix = name.split(".")

    for kept in (f"{stem}.edited.{suffix}", f"{stem}.edited-2.{suffix}"):
        (run.path / name).write_bytes(kept.encode())
        hubtune("card", "render", run.path)
        assert (run.path / kept).read_bytes() == kept.encode()

    assert (run.path / name).read_bytes() == rendered
    assert (run.path / f"{stem}.edited.{suffix}").read_bytes() == f"{stem}.edited.{suffix}".encode()
    assert released(hubtune, run).commit


def test_a_card_that_only_hubtune_wrote_is_published_after_the_config_changed(hubtune, run):
    hubtune("card", "render", run.path)
    run.write_config(run.config().model_copy(update={"card": sample_config("card.intended_use=Other.").card}))

    assert released(hubtune, run).commit
    assert released(hubtune, run).commit, "the card that publishing wrote is known too"
    (run.path / "README.md").unlink()
    assert released(hubtune, run).commit


def test_a_crash_while_the_card_is_written_leaves_no_card_that_looks_edited(hubtune, run, monkeypatch):
    hubtune("card", "render", run.path)
    run.write_config(run.config().model_copy(update={"card": sample_config("card.intended_use=Other.").card}))
    replace = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if target.name == "README.md":
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        run.write_file("README.md", "another card")
    monkeypatch.setattr(Path, "replace", replace)

    assert released(hubtune, run).commit


@pytest.mark.parametrize("kind", [PinSet, LicenseRecord, DataRecord, TrainingRecord, EvaluationRecord, ProbeRecord])
def test_a_record_that_was_changed_by_hand_is_not_published(hub, hubtune, run, kind: type[Record]):
    file = run.record_file(kind)
    file.write_text(file.read_text().replace("\n}", "\n }"))

    if kind is LicenseRecord:
        assert b"\n }" not in hub_file(hub, released(hubtune, run), "records/licenses.json"), "it is made anew"
        return
    with pytest.raises(RecordError, match=f"{file.name} .* changed by hand"):
        hubtune("publish", run.path)

    assert not [line for line in hub.requests() if line["method"] != "GET"]


def hub_file(hub: ServedHub, release: ReleaseRecord, path: str) -> bytes:
    return Path(hub.api.hf_hub_download(release.repo, path, revision=release.commit)).read_bytes()
