"""What a published repository holds, as its reader gets it."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from hubtune.card.wording import measure as measure_shown
from tests.end_to_end.worlds import CHAT_TEMPLATE, TARGET, digests


@pytest.fixture(scope="module", params=["gpt2", pytest.param("llama", marks=pytest.mark.full_trial)])
def world(request, released_on):
    return released_on(request.param)


@pytest.fixture(scope="module")
def snapshot(world, tmp_path_factory):
    """The repository at its tag, as an unchanged client downloads it."""
    copy = world.copy(tmp_path_factory.mktemp("reader"))
    with copy.served() as api:
        return Path(api.snapshot_download(TARGET, revision="v1.0.0", cache_dir=copy.root / "cache"))


def test_the_manifest_has_the_digest_of_every_other_file(snapshot):
    manifest = json.loads((snapshot / "hubtune.json").read_text())
    assert manifest["files"] == digests(snapshot, leave_out=("hubtune.json", ".gitattributes"))
    assert (manifest["repo"], manifest["tag"], manifest["artifact"]) == (TARGET, "v1.0.0", "adapter")


def test_the_manifest_names_the_pins_and_the_records_of_the_run(snapshot, world):
    manifest = json.loads((snapshot / "hubtune.json").read_text())
    assert manifest["pins"] == world.record("pins.json")
    names = {"pins.json", "licenses.json", "data.json", "training.json", "evaluation.json", "probe.json"}
    run = digests(world.run_dir)
    assert manifest["records"] == {name: run[name] for name in names}
    assert manifest["config"] == run["config.yaml"]
    assert manifest["environment"] == world.record("training.json")["environment"]


def test_the_release_record_has_the_digest_of_every_file(snapshot, world):
    assert world.record("release.json")["files"] == digests(snapshot, leave_out=(".gitattributes",))


def test_the_published_lock_is_the_runs_pins_and_the_lock_beside_the_config(snapshot, world):
    pins = (world.run_dir / "pins.json").read_bytes()
    assert (snapshot / "hubtune.lock").read_bytes() == pins
    assert (world.work / "hubtune.lock").read_bytes() == pins


def test_the_tokenizer_and_the_chat_template_are_the_bases_to_the_byte(snapshot, world, sources):
    base = digests(sources / world.record("pins.json")["base"]["repo"].partition("/")[2])
    published = digests(snapshot)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert published[name] == base[name]
    assert (snapshot / "chat_template.jinja").read_text() == CHAT_TEMPLATE


def test_the_adapter_names_its_base_by_hub_id_and_commit(snapshot, world):
    adapter = json.loads((snapshot / "adapter_config.json").read_text())
    base = world.record("pins.json")["base"]
    assert adapter["base_model_name_or_path"] == base["repo"]
    assert adapter["revision"] == base["commit"]
    assert re.fullmatch("[0-9a-f]{40}", adapter["revision"])
    assert adapter["fan_in_fan_out"] is (base["repo"] == "lab/gpt2")


def test_only_safetensors_hold_weights(snapshot):
    names = set(digests(snapshot))
    assert names == {
        ".gitattributes",
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "generation_config.json",
        "hubtune.json",
        "hubtune.lock",
        "images/evaluation.png",
        "images/loss.png",
        "LICENSE",
        "LICENSES/apache-2.0.txt",
        "NOTICE",
        "records/config.yaml",
        "records/data.json",
        "records/evaluation.json",
        "records/licenses.json",
        "records/probe.json",
        "records/training.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_the_hub_client_reads_the_cards_metadata(snapshot, world):
    card = ModelCard.load(snapshot / "README.md")
    pins = world.record("pins.json")
    assert card.data.base_model == pins["base"]["repo"]
    assert card.data.to_dict()["base_model_relation"] == "adapter"
    assert (card.data.library_name, card.data.pipeline_tag, card.data.license) == (
        "peft",
        "text-generation",
        "apache-2.0",
    )
    assert card.data.datasets == ["lab/quotes"]
    assert card.data.language == ["en"]
    (result,) = card.data.eval_results
    measure = world.record("evaluation.json")["measures"][0]
    assert (result.dataset_type, result.dataset_split) == ("lab/quotes", "train")
    assert result.dataset_revision == pins["data"][0]["commit"]
    assert (result.metric_type, result.metric_value) == ("perplexity", measure["tuned"])


def test_the_card_carries_both_perplexities_and_both_revisions(snapshot, world):
    text = (snapshot / "README.md").read_text()
    (measure,) = world.record("evaluation.json")["measures"]
    pins = world.record("pins.json")
    for value in (measure["base"], measure["tuned"]):
        assert re.search(rf"\b{measure_shown(value)}\b", text), value
    assert pins["base"]["commit"] in text
    assert pins["data"][0]["commit"] in text


def test_no_published_file_tells_a_path_or_an_address_of_this_machine(snapshot, world):
    base = str(world.root.parent)
    for path in filter(Path.is_file, snapshot.rglob("*")):
        content = path.read_bytes()
        assert base.encode() not in content, path.name
        assert b"127.0.0.1" not in content, path.name
        assert b"/home" not in content, path.name


def test_the_published_card_is_the_runs_card(snapshot, world):
    assert (snapshot / "README.md").read_bytes() == (world.run_dir / "README.md").read_bytes()
    assert hashlib.sha256((snapshot / "README.md").read_bytes()).hexdigest() == digests(world.run_dir)["README.md"]
