"""The plan of a release is complete, checked, and the same for the same run."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from hubtune.errors import RecordError
from hubtune.publish.plan import ReleasePlan, plan_release
from hubtune.records.base import PinSet
from hubtune.records.ratings import RatingsRecord
from hubtune.records.release import CARD, CONFIG, MANIFEST, PLACES, RATED, Manifest
from hubtune.records.results import EvaluationRecord, TrainingRecord
from tests.publish.conftest import REPO
from tests.sample_ratings import ratable_run, sample_pairs, session_of
from tests.sample_runs import CARD_TEXT, ENVIRONMENT, LEGAL, finished_run, sample_pins

MADE = {CARD: CARD_TEXT.encode(), **LEGAL}


def _bytes(plan: ReleasePlan) -> dict[str, bytes]:
    return {path: body if isinstance(body, bytes) else body.read_bytes() for path, body in plan.files.items()}


def test_the_same_run_gives_the_same_plan_to_the_byte(new_plan):
    first, second = new_plan(), new_plan()

    assert _bytes(first) == _bytes(second)
    assert first.digests == second.digests
    assert list(first.files) == list(second.files)


def test_a_release_holds_card_adapter_tokenizer_lock_records_and_manifest_and_nothing_else(new_plan):
    assert set(new_plan().files) == {
        "LICENSE",
        "NOTICE",
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "hubtune.json",
        "hubtune.lock",
        "records/config.yaml",
        "records/data.json",
        "records/evaluation.json",
        "records/licenses.json",
        "records/probe.json",
        "records/training.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_a_chat_template_that_the_model_was_trained_with_takes_the_place_of_the_base_s(
    tmp_path: Path, base_folder: Path
):
    run = finished_run(tmp_path / "run")

    plan = plan_release(run, run.config(), REPO, base_folder, {**MADE, "chat_template.jinja": b"{{ mine }}"})

    assert _bytes(plan)["chat_template.jinja"] == b"{{ mine }}"


def test_every_digest_is_that_of_the_content(new_plan):
    plan = new_plan()

    assert plan.digests == {path: hashlib.sha256(body).hexdigest() for path, body in _bytes(plan).items()}


def test_the_manifest_lists_every_other_file_with_its_digest(new_plan):
    plan = new_plan()
    manifest = Manifest.model_validate_json(_bytes(plan)[MANIFEST])

    assert manifest.files == {path: digest for path, digest in plan.digests.items() if path != MANIFEST}


def test_the_manifest_tells_what_the_release_was_made_from(tmp_path: Path, base_folder: Path):
    run = finished_run(tmp_path / "run", "publish.tag=v2.1.0")
    manifest = Manifest.model_validate_json(_bytes(plan_release(run, run.config(), REPO, base_folder, MADE))[MANIFEST])

    assert (manifest.repo, manifest.tag, manifest.artifact) == (REPO, "v2.1.0", "adapter")
    assert (manifest.pins, manifest.environment) == (sample_pins(), ENVIRONMENT)
    assert manifest.config == hashlib.sha256(run.config_file.read_bytes()).hexdigest()
    assert manifest.records == {
        name: hashlib.sha256((run.path / name).read_bytes()).hexdigest()
        for name in ("pins.json", "licenses.json", "data.json", "training.json", "evaluation.json", "probe.json")
    }


def test_the_records_are_published_as_the_run_holds_them(tmp_path: Path, base_folder: Path):
    run = finished_run(tmp_path / "run")

    published = _bytes(plan_release(run, run.config(), REPO, base_folder, MADE))

    assert {place: published[place] for place in PLACES.values()} == {
        place: run.record_file(kind).read_bytes() for kind, place in PLACES.items()
    }


def test_ratings_of_this_training_go_along_and_those_of_another_do_not(tmp_path: Path, base_folder: Path):
    run = ratable_run(tmp_path / "run", sample_pairs(2))
    session_of(run).answer(0, "a")

    published = _bytes(plan_release(run, run.config(), REPO, base_folder, MADE))
    assert published[RATED] == run.record_file(RatingsRecord).read_bytes()
    assert "ratings.json" in Manifest.model_validate_json(published[MANIFEST]).records

    run.write(run.read(TrainingRecord).model_copy(update={"final_loss": 1.0}))
    assert not run.has(RatingsRecord)


def test_the_published_config_says_that_own_templates_were_used_and_not_where_they_lie(
    tmp_path: Path, base_folder: Path
):
    run = finished_run(tmp_path / "run", f"card.templates={tmp_path}/sections")

    plan = plan_release(run, run.config(), REPO, base_folder, MADE)

    published = yaml.safe_load(_bytes(plan)[CONFIG])
    assert published["card"]["templates"] == "sections"
    assert published["train"] == yaml.safe_load(run.config_file.read_text())["train"]
    assert Manifest.model_validate_json(_bytes(plan)[MANIFEST]).config == plan.digests[CONFIG]


def test_no_published_text_holds_a_path_of_this_machine(new_plan, tmp_path: Path):
    for path, body in _bytes(new_plan()).items():
        assert str(tmp_path).encode() not in body, path


def test_the_tokenizer_is_published_byte_for_byte(new_plan, base_folder: Path):
    published = _bytes(new_plan())

    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert published[name] == (base_folder / name).read_bytes()


def test_the_published_tokenizer_loads_and_encodes_as_the_base_s(tmp_path: Path, tiny_model: Path):
    from transformers import AutoTokenizer

    run = finished_run(tmp_path / "run")
    published = tmp_path / "published"
    published.mkdir()
    for path, body in _bytes(plan_release(run, run.config(), REPO, tiny_model, MADE)).items():
        (published / path).parent.mkdir(exist_ok=True)
        (published / path).write_bytes(body)

    before, after = AutoTokenizer.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(published)

    assert after("The baker 😀")["input_ids"] == before("The baker 😀")["input_ids"]
    assert after.special_tokens_map == before.special_tokens_map


def test_the_lock_is_the_run_s_pins(new_plan):
    assert PinSet.model_validate_json(_bytes(new_plan())["hubtune.lock"]) == sample_pins()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_an_adapter_changed_after_the_training_is_refused(tmp_path: Path, base_folder: Path, name: str):
    run = finished_run(tmp_path / "run")
    with (run.adapter_dir / name).open("ab") as file:
        file.write(b" ")

    with pytest.raises(RecordError, match=name) as caught:
        plan_release(run, run.config(), REPO, base_folder, MADE)

    assert "hubtune train" in str(caught.value.hint)


def test_an_adapter_file_that_is_gone_is_refused(tmp_path: Path, base_folder: Path):
    run = finished_run(tmp_path / "run")
    (run.adapter_dir / "adapter_model.safetensors").unlink()

    with pytest.raises(RecordError, match="adapter"):
        plan_release(run, run.config(), REPO, base_folder, MADE)


@pytest.mark.parametrize("name", ["pins.json", "data.json", "training.json", "evaluation.json", "probe.json"])
def test_a_run_without_one_of_its_records_is_refused(tmp_path: Path, base_folder: Path, name: str):
    run = finished_run(tmp_path / "run")
    (run.path / name).unlink()

    with pytest.raises(RecordError, match=name):
        plan_release(run, run.config(), REPO, base_folder, MADE)


def test_a_measure_of_another_adapter_is_refused(tmp_path: Path, base_folder: Path):
    run, other = finished_run(tmp_path / "run"), finished_run(tmp_path / "other", weights=b"other weights")
    run.record_file(EvaluationRecord).write_bytes(other.record_file(EvaluationRecord).read_bytes())

    with pytest.raises(RecordError, match=r"evaluation\.json .* another training\.json"):
        plan_release(run, run.config(), REPO, base_folder, MADE)


def test_message_and_visibility_are_the_config_s(new_plan):
    plan = new_plan("publish.message=First light", "publish.private=true")

    assert (plan.message, plan.private) == ("First light", True)
    assert (new_plan().message, new_plan().private) == ("Release v1.0.0", False)


def test_the_manifest_is_text_for_people_to_read(new_plan):
    text = _bytes(new_plan())[MANIFEST].decode()

    assert json.loads(text)["format"] == 1
    assert len(text.splitlines()) > 20
