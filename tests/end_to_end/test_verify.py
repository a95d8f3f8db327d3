"""`hubtune verify`: an honest release is confirmed, and a change is told by the claim that it breaks."""

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file, save

from hubtune.cli.app import app
from hubtune.cli.verify import claim_lines
from hubtune.config.load import TargetOptions
from hubtune.errors import AmbiguousRevisionError, ConfigError, RevisionNotFoundError, VerificationError
from hubtune.pipeline.context import RunContext
from hubtune.pipeline.stages import run_evaluate, run_publish
from hubtune.records.base import sha256_file
from hubtune.records.release import CARD, CONFIG, MANIFEST
from hubtune.records.results import EvaluationRecord, ProbeRecord, TrainingRecord
from hubtune.records.rundir import RunDirectory
from hubtune.verify.claims import VerifyOptions, verify_release
from hubtune.verify.record_claims import check_files
from hubtune.verify.release_documents import fetch_subject, judged
from tests.end_to_end.verifying import ALWAYS, TAG, Forge, contradicted, detail, statuses, verify
from tests.end_to_end.worlds import TARGET, World
from tests.served_hub import ServedHub, serve


@pytest.fixture(scope="module")
def forge(released: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    world = released.copy(tmp_path_factory.mktemp("forge"))
    with pytest.MonkeyPatch.context() as patch, serve(world.hub, world.root / "home/hub", patch) as hub:
        yield Forge.of(hub, world)


@pytest.fixture(autouse=True)
def honest_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "forge" in request.fixturenames:
        forge = request.getfixturevalue("forge")
        forge.move_tag(forge.honest)


def test_an_honest_release_is_confirmed_but_for_what_was_not_asked(forge: Forge):
    record = verify()

    assert statuses(record) == {
        **dict.fromkeys(ALWAYS, "confirmed"),
        "evaluation": "unchecked",
        "origin": "unchecked",
    }, record
    assert (record.repo, record.requested, record.commit) == (TARGET, TAG, forge.honest)


def test_a_commit_may_stand_for_the_tag_and_a_tag_is_asked_for_once(forge: Forge):
    before = len(forge.hub.requests())
    by_tag = verify()
    asked = [line for line in forge.hub.requests()[before:] if line["repo"] == TARGET and line["revision"]]
    by_commit = verify(forge.honest)

    assert [line["revision"] for line in asked if line["revision"] != forge.honest] == [TAG]
    assert by_commit.claims == by_tag.claims
    assert detail(by_commit, "repository") == f"{TAG} of {TARGET}, at {forge.honest}"


def test_the_evaluation_is_measured_again_and_the_announced_commit_compared(forge: Forge):
    record = verify(announced=forge.honest, evaluate=True)

    assert set(statuses(record).values()) == {"confirmed"}, record
    measure = forge.json("records/evaluation.json")["measures"][0]
    assert f"tuned {measure['tuned']:.4g}" in detail(record, "evaluation")


def test_what_turns_on_near_ties_is_not_measured_again(forge: Forge):
    """The record also has a measure of generated texts, whose value another processor need not come to."""

    def add(record: dict) -> None:
        record["measures"].append({**record["measures"][0], "name": "bleu", "tuned": 99.0})

    forge.publish(_edited(forge, "records/evaluation.json", add))

    record = verify(evaluate=True)
    assert statuses(record)["evaluation"] == "confirmed"
    assert detail(record, "evaluation").endswith("not measured again: bleu")


def test_another_commit_than_the_announced_one_is_not_the_release(forge: Forge):
    assert list(contradicted(verify(announced="a" * 40))) == ["origin"]


@pytest.mark.parametrize("announced", ["a" * 39, "A" * 40, "abcdef1", "", "v1.0.0"])
def test_part_of_a_commit_is_no_announcement(forge: Forge, announced: str):
    with pytest.raises(ConfigError, match="40 hexadecimal digits"):
        verify(announced=announced)


def test_a_changed_byte_of_any_file_is_told_with_the_file(forge: Forge, tmp_path: Path, listener, trials):
    chosen = random.Random(7)
    names = sorted(forge.files.keys() - {".gitattributes", MANIFEST})
    assert len(names) > 15
    for number, path in enumerate(chosen.sample(names, trials(4, len(names)))):
        content = bytearray(forge.files[path])
        content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
        forge.publish({path: bytes(content)})
        folder = tmp_path / str(number)
        folder.mkdir()
        subject = fetch_subject(TARGET, TAG, folder, listener)
        claim = judged("files", lambda subject=subject: check_files(subject))
        assert (claim.status, claim.detail.partition(" (")[0]) == ("contradicted", f"{path} was changed")


def test_a_flipped_byte_of_a_large_file_is_told(forge: Forge, trials):
    chosen = random.Random(11)
    for number in range(trials(2, 40)):
        path = ("adapter_model.safetensors", "tokenizer.json")[number % 2]
        content = bytearray(forge.files[path])
        content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
        forge.publish({path: bytes(content)})
        assert f"{path} was changed" in contradicted(verify())["files"]


def test_files_that_were_added_are_told_and_never_fetched(forge: Forge):
    forge.publish({"modeling.py": b"raise SystemExit", "pytorch_model.bin": b"pickle"})
    before = len(forge.hub.requests())

    found = contradicted(verify())

    assert found == {"files": "modeling.py was added; pytorch_model.bin was added"}
    fetched = [line["path"] for line in forge.hub.requests()[before:] if "/resolve/" in str(line["path"])]
    assert fetched
    assert not [path for path in fetched if path.endswith((".py", ".bin"))]


def test_a_removed_file_is_told_and_the_model_not_loaded_from_something_else(forge: Forge):
    forge.publish({"adapter_model.safetensors": None, "adapter_model.bin": b"pickle"})

    found = contradicted(verify())

    assert found["files"] == "adapter_model.bin was added; adapter_model.safetensors is missing"
    assert "no adapter_model.safetensors" in found["model"]


def test_a_removed_record_leaves_the_other_claims_alone(forge: Forge):
    forge.publish({"records/probe.json": None})

    record = verify()

    assert set(contradicted(record)) == {"files", "records"}
    assert detail(record, "probe") == "there is no records/probe.json"
    assert statuses(record)["model"] == "confirmed"


def _edited(forge: Forge, path: str, edit: Callable[[dict], object]) -> dict[str, bytes]:
    document = forge.json(path)
    edit(document)
    return {path: json.dumps(document, indent=2).encode()}


def _other_legal_files(forge: Forge) -> dict[str, bytes]:
    return {"LICENSE": b"Do as you like.\n", "NOTICE": b"Made from nothing.\n"}


def _another_number(forge: Forge) -> dict[str, bytes]:
    (measure,) = forge.json("records/evaluation.json")["measures"]
    shown = f"{measure['tuned']:.2f}"
    card = forge.files[CARD].decode()
    assert shown in card
    return {CARD: card.replace(shown, f"{measure['tuned'] - 1:.2f}").encode()}


def _another_record(forge: Forge) -> dict[str, bytes]:
    return _edited(forge, "records/evaluation.json", lambda record: record["measures"][0].update(tuned=1.5))


def _another_base(forge: Forge) -> dict[str, bytes]:
    return _edited(forge, "adapter_config.json", lambda config: config.update(revision="a" * 40))


def _lenient_probe(forge: Forge) -> dict[str, bytes]:
    def edit(record: dict) -> None:
        record["tolerance"] = 1e9
        record["prompts"][0]["logits"][0][0] += 100

    return _edited(forge, "records/probe.json", edit)


def _pickle(forge: Forge) -> dict[str, bytes | None]:
    files = {"adapter_model.bin": b"pickle", "adapter_config.json": forge.files["adapter_config.json"]}
    record = _edited(forge, "records/training.json", lambda record: record.update(files=dict.fromkeys(files, "0" * 64)))
    return {**record, **files}


def _probe_without_logits(forge: Forge) -> dict[str, bytes]:
    return _edited(
        forge, "records/probe.json", lambda record: [prompt.update(logits=[]) for prompt in record["prompts"]]
    )


def _probe_of_the_base(forge: Forge) -> dict[str, bytes]:
    return _edited(forge, "records/probe.json", lambda record: record.update(difference=1e-6))


def _another_tokenizer(forge: Forge) -> dict[str, bytes]:
    def edit(tokenizer: dict) -> None:
        vocabulary = tokenizer["model"]["vocab"]
        vocabulary["e"], vocabulary["a"] = vocabulary["a"], vocabulary["e"]

    return _edited(forge, "tokenizer.json", edit)


def _pattern(forge: Forge) -> dict[str, bytes]:
    return _edited(forge, "adapter_config.json", lambda config: config.update(target_modules="(a+)+$"))


def _another_licence(forge: Forge) -> dict[str, bytes]:
    return _edited(forge, "records/licenses.json", lambda record: record["inputs"][0].update(licenses=["mit"]))


def _licence_outside(forge: Forge) -> dict[str, bytes]:
    files = {"../../../../../../etc/passwd": "0" * 64}
    return _edited(forge, "records/licenses.json", lambda record: record["inputs"][0].update(files=files))


def _licence_left_out(forge: Forge) -> dict[str, bytes]:
    files = {"LICENSE": "0" * 64}
    return _edited(forge, "records/licenses.json", lambda record: record["inputs"][0].update(files=files))


def _another_run(forge: Forge) -> dict[str, bytes]:
    return _edited(forge, "records/data.json", lambda record: record["train"].update(rows=1_000_000))


def _no_upstream(forge: Forge) -> dict[str, bytes]:
    return _edited(forge, "records/probe.json", lambda record: record.update(upstream={}))


def _bomb(forge: Forge) -> dict[str, bytes]:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    return {CONFIG: "\n".join(lines).encode()}


@pytest.mark.parametrize(
    ("forgery", "claims", "words"),
    [
        (_another_number, {"card"}, "and the records give"),
        (_other_legal_files, {"licences"}, "LICENSE is not what the inputs' licenses give; NOTICE is not what"),
        pytest.param(_another_record, {"card"}, "and the records give", marks=pytest.mark.full_trial),
        (_another_base, {"base", "model", "records"}, f"adapter_config.json names lab/gpt2 at {'a' * 40}"),
        (_lenient_probe, {"probe"}, "is what arithmetic in"),
        pytest.param(_probe_without_logits, {"probe"}, "tokens without logits", marks=pytest.mark.full_trial),
        pytest.param(_probe_of_the_base, {"probe"}, "without the adapter the logits are", marks=pytest.mark.full_trial),
        (_another_tokenizer, {"probe"}, "the tokenizer reads"),
        (_pattern, {"model", "records"}, "target_modules that are not a list"),
        pytest.param(_another_licence, {"licences", "card"}, "license", marks=pytest.mark.full_trial),
        (_licence_outside, {"licences"}, "etc/passwd is not the name of a legal file"),
        pytest.param(
            _licence_left_out,
            {"licences"},
            "/LICENSE is missing, which has to travel along",
            marks=pytest.mark.full_trial,
        ),
        (_another_run, {"records", "card"}, "was made from another data.json"),
        pytest.param(_no_upstream, {"records"}, "does not say from which training.json", marks=pytest.mark.full_trial),
        (_bomb, {"records"}, "is not the plain YAML that hubtune writes"),
    ],
)
def test_a_forgery_with_the_right_digests_is_told_by_what_it_breaks(
    forge: Forge, forgery: Callable[[Forge], dict[str, bytes]], claims: set[str], words: str
):
    forge.publish_consistently(forgery(forge))

    found = contradicted(verify())

    assert set(found) == claims
    assert any(words in text for text in found.values()), found


def _manifest_with(forge: Forge, **changes: object) -> bytes:
    return json.dumps({**forge.json(MANIFEST), **changes}).encode()


def _with_file(forge: Forge, name: str) -> bytes:
    return _manifest_with(forge, files={**forge.json(MANIFEST)["files"], name: "0" * 64})


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (lambda forge: _with_file(forge, "../../../../../../etc/passwd"), "etc/passwd is missing"),
        (lambda forge: _with_file(forge, "/etc/passwd"), "/etc/passwd is missing"),
        (lambda forge: _with_file(forge, "\x1b[2J\u202e"), "\\u001b[2J\\u202e is missing"),
        (lambda forge: _manifest_with(forge, files=["README.md"]), "hubtune.json is not a document"),
        (lambda forge: _manifest_with(forge, pins=None), "hubtune.json is not a document"),
        (lambda forge: b"\xff\xfe\x00", "hubtune.json is not a document"),
        (lambda forge: b"[" * 100_000, "hubtune.json is not a document"),
        (lambda forge: b" " * 10_000_000 + forge.files[MANIFEST], "hubtune.json is longer than"),
        (lambda forge: None, "there is no hubtune.json"),
    ],
    ids=["traversal", "absolute", "escapes", "list", "no pins", "bytes", "nested", "10 MB", "missing"],
)
def test_a_hostile_manifest_is_refused_and_never_shown_as_it_is(
    forge: Forge, manifest: Callable[[Forge], bytes | None], words: str
):
    forge.publish({MANIFEST: manifest(forge)})

    record = verify()

    assert words in contradicted(record)["files"]
    assert statuses(record)["base"] == "confirmed"
    assert all(claim.detail.isprintable() and len(claim.detail) < 1_100 for claim in record.claims)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"train.jsonl": "0" * 64}, f"instead of {'0' * 64}"),
        ({"gone.jsonl": "0" * 64}, "gone.jsonl of lab/quotes: missing"),
        ({}, "the record names no file of lab/quotes"),
    ],
)
def test_the_files_that_were_read_are_compared_with_the_pinned_data_set(forge: Forge, files, words: str):
    assert "the file used is the recorded one, by sha256" in detail(verify(), "data:lab/quotes")
    forge.publish(_edited(forge, "records/data.json", lambda record: record["sources"][0].update(files=files)))

    assert words in contradicted(verify())["data:lab/quotes"]


def test_a_release_of_a_version_that_noted_no_files_is_confirmed_without_them(forge: Forge):
    forge.publish(_edited(forge, "records/data.json", lambda record: record["sources"][0].pop("files")))

    record = verify()

    assert statuses(record)["data:lab/quotes"] == "confirmed"
    assert detail(record, "data:lab/quotes").endswith("does not say which of its files were used")


def test_a_manifest_of_another_repository_is_not_that_of_this_release(forge: Forge):
    forge.publish({MANIFEST: _manifest_with(forge, repo="lab/other")})

    assert contradicted(verify())["repository"] == f"the manifest is that of lab/other, not of {TARGET}"


def test_a_branch_of_the_tag_s_name_is_told_by_commit_and_refused_by_name(forge: Forge):
    other = forge.publish({"notes.md": b"mine"})
    forge.move_tag(forge.honest)
    forge.hub.set_ref(TARGET, f"refs/heads/{TAG}", other)
    try:
        told = contradicted(verify(forge.honest))
        with pytest.raises(AmbiguousRevisionError) as caught:
            verify()
    finally:
        forge.hub.api.delete_branch(TARGET, branch=TAG)

    assert set(told) == {"repository"}
    assert other in told["repository"]
    assert all(any(commit in line for line in caught.value.details) for commit in (other, forge.honest))


def test_a_card_with_own_templates_is_compared_by_metadata_and_values(forge: Forge):
    config = forge.files[CONFIG].replace(b"card:\n", b"card:\n  templates: etc\n")
    forge.publish_consistently({CONFIG: config})

    record = verify()
    assert not record.contradicted, record
    assert "other words and numbers were not compared" in detail(record, "card")

    forge.publish_consistently({CONFIG: config, **_another_number(forge)})
    assert "and not on the card" in contradicted(verify())["card"]


def test_what_another_version_wrote_is_not_judged_by_the_rules_of_this_one(forge: Forge):
    forge.publish({MANIFEST: _manifest_with(forge, hubtune="0.0.1")})

    record = verify()

    assert not record.contradicted, record
    # Its digests agree by the rules of this version too.
    assert statuses(record)["records"] == "confirmed"
    assert "hubtune 0.0.1" in detail(record, "card")


def test_without_the_extra_what_needs_no_model_is_checked(forge: Forge, monkeypatch: pytest.MonkeyPatch):
    # What Python takes for a package that is not installed.
    monkeypatch.setitem(sys.modules, "accelerate", None)

    record = verify(evaluate=True)

    needing = {"model", "probe", "evaluation"}
    assert statuses(record) == {
        **dict.fromkeys(ALWAYS, "confirmed"),
        **dict.fromkeys([*needing, "origin"], "unchecked"),
    }
    assert 'pip install "hubtune[train]"' in detail(record, "model")


def test_a_revision_that_is_not_there_is_an_error_and_no_report(forge: Forge):
    with pytest.raises(RevisionNotFoundError):
        verify("v9.9.9")


def test_the_command_prints_a_line_for_each_claim_and_what_they_come_to(forge: Forge):
    honest = CliRunner().invoke(app, ["verify", f"{TARGET}@{TAG}"], standalone_mode=False)
    forge.publish({"NOTICE": b"nothing"})
    changed = CliRunner().invoke(app, ["--quiet", "verify", f"{TARGET}@{TAG}"], standalone_mode=False)

    assert (honest.return_value, changed.return_value) == (0, VerificationError.exit_code)
    lines = honest.stdout.splitlines()
    assert lines[0] == f"✓ repository       confirmed: {TAG} of {TARGET}, at {forge.honest}"
    assert [line[0] for line in lines[:11]] == ["✓"] * 9 + ["?"] * 2
    assert lines[-1].endswith("is consistent, but it is not signed, so this does not show who published it.")
    assert "✗ files            contradicted: NOTICE was changed" in changed.stdout
    assert changed.stdout.splitlines()[-1] == (
        f"{TARGET}@{TAG} does not match its own claims; do not rely on it (files, licences)."
    )


@pytest.mark.full_trial
def test_the_installed_command_verifies_on_an_embedded_hub(finished: World):
    done = finished.installed("--json", "verify", f"{TARGET}@{TAG}", "--hub", finished.hub)

    assert done.code == 0, done
    assert {claim["status"] for claim in done.document["claims"]} == {"confirmed", "unchecked"}


def test_inputs_that_are_gone_or_closed_are_told(finished: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with finished.served() as api:
        api.update_repo_settings("lab/gpt2", gated="manual")
        api.delete_repo("lab/quotes", repo_type="dataset")
    with serve(finished.hub, tmp_path / "cache", monkeypatch, guarded=True):
        record = verify()

    found = statuses(record)
    assert (found["base"], found["data:lab/quotes"]) == ("unchecked", "contradicted")
    assert "lab/gpt2 is gated, and your account has not been granted access" in detail(record, "base")
    assert "There is no repository lab/quotes" in detail(record, "data:lab/quotes")
    assert (found["model"], found["probe"], found["files"]) == ("unchecked", "unchecked", "confirmed")


def test_a_base_that_is_gone_leaves_no_model(finished: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with finished.served() as api:
        api.delete_repo("lab/gpt2")
    with serve(finished.hub, tmp_path / "cache", monkeypatch):
        record = verify()

    assert set(contradicted(record)) == {"base", "model"}
    assert "There is no repository lab/gpt2" in detail(record, "base")


def _other_weights(run: RunDirectory) -> None:
    """Replaces the adapter's weights, and writes the records as if the training had made them."""
    path = run.adapter_dir / "adapter_model.safetensors"
    tensors = {name: tensor * 3 for name, tensor in load_file(path).items()}
    path.write_bytes(save(tensors, {"format": "pt"}))
    training = run.read(TrainingRecord)
    evaluation, probe = run.read(EvaluationRecord), run.read(ProbeRecord)
    run.write(training.model_copy(update={"files": {**training.files, path.name: sha256_file(path)}}))
    for record in (evaluation, probe):
        run.write(record.model_copy(update={"upstream": run.digests(*record.upstream)}))


def _make_way(hub: ServedHub) -> None:
    """Takes away the release, as who may write to the repository can."""
    hub.api.delete_tag(TARGET, tag=TAG)
    hub.api.delete_file(MANIFEST, TARGET)


def test_a_release_that_was_forged_as_a_whole_is_told_by_the_announced_commit_alone(
    finished: World, monkeypatch: pytest.MonkeyPatch, listener
):
    with serve(finished.hub, finished.root / "home/hub", monkeypatch) as hub:
        honest = hub.tags(TARGET)[TAG]
        run = RunDirectory.open(finished.run_dir)
        _other_weights(run)
        _make_way(hub)
        run_publish(RunContext(run, listener))
        assert set(contradicted(verify())) == {"probe"}
        assert set(contradicted(verify(evaluate=True))) == {"probe", "evaluation"}

        # Whoever measures again has records that are right about the wrong weights.
        run_evaluate(RunContext(run, listener))
        _make_way(hub)
        run_publish(RunContext(run, listener))
        record = verify()
        assert not record.contradicted, record
        assert statuses(record)["origin"] == "unchecked"
        assert claim_lines(record)[-1].endswith("it is not signed, so this does not show who published it.")
        assert set(contradicted(verify(announced=honest))) == {"origin"}


def test_merged_weights_are_verified_by_themselves_and_by_the_record_of_their_merge(
    finished: World, monkeypatch: pytest.MonkeyPatch, listener
):
    repo = "lab/quotes-merged"
    with serve(finished.hub, finished.root / "home/hub", monkeypatch):
        run = RunDirectory.open(finished.run_dir)
        publish = run.config().publish.model_copy(update={"artifact": "merged"})
        run.write_config(run.config().model_copy(update={"publish": publish}))
        run_publish(RunContext(run, listener), TargetOptions(repo=repo))
        record = verify_release(repo, TAG, listener, VerifyOptions(evaluate=True))

    assert statuses(record) == {
        **dict.fromkeys(ALWAYS, "confirmed"),
        **dict.fromkeys(["evaluation", "origin"], "unchecked"),
    }, record
    assert detail(record, "model").startswith("it loads by itself")
    assert detail(record, "records").startswith("7 records")


def test_a_tag_that_was_moved_to_another_release_is_told(finished: World, monkeypatch: pytest.MonkeyPatch, listener):
    with serve(finished.hub, finished.root / "home/hub", monkeypatch) as hub:
        first = hub.tags(TARGET)[TAG]
        second = run_publish(
            RunContext(RunDirectory.open(finished.run_dir), listener), TargetOptions(tag="v1.1.0")
        ).commit
        assert not verify("v1.1.0").contradicted
        hub.api.delete_tag(TARGET, tag=TAG)
        hub.api.create_tag(TARGET, tag=TAG, revision=second)

        moved = contradicted(verify())
        assert set(moved) == {"repository"}
        assert f"and {TAG} points at its commit" in moved["repository"]
        assert f"that tag points at {second}" in contradicted(verify(first))["repository"]
        assert not verify("main").contradicted


def test_pickle_is_not_loaded_even_where_manifest_and_training_record_list_it(forge: Forge):
    changes = _pickle(forge)
    manifest = json.loads(forge.manifest(changes))
    del manifest["files"]["adapter_model.safetensors"]
    forge.publish({**changes, "adapter_model.safetensors": None, MANIFEST: json.dumps(manifest).encode()})

    found = contradicted(verify(evaluate=True))

    assert "files" not in found
    for name in ("model", "evaluation"):
        assert found[name].endswith("other formats are not loaded")
