"""The front matter: closed, pinned, and read by the Hub's own client as it was meant."""

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard
from pydantic import ValidationError

from hubtune.card.inputs import CardInputs
from hubtune.card.metadata import CardMetadata, build_metadata, dump_front_matter, read_front_matter
from hubtune.card.render import render_card
from hubtune.errors import CardError
from hubtune.metadata.front_matter import split_card

MINIMAL = {
    "license": "mit",
    "library_name": "peft",
    "base_model": "a/b",
    "base_model_relation": "adapter",
    "datasets": ["c/d"],
    "tags": ["x"],
}


def test_the_hubs_client_reads_the_results_as_they_were_measured(inputs: CardInputs) -> None:
    data = ModelCard(render_card(inputs)).data
    assert data.model_name == "quotes-lora"
    assert data.eval_results == [
        EvalResult(
            task_type="text-generation",
            task_name="Text generation",
            dataset_type="Abirate/english_quotes",
            dataset_name="Abirate/english_quotes, 251 held-out rows of train",
            dataset_config="default",
            dataset_split="train",
            dataset_revision=inputs.pins.data[0].commit,
            metric_type="perplexity",
            metric_name="Perplexity on held-out rows",
            metric_value=27.4035,
        )
    ]


def test_the_hubs_client_writes_the_same_metadata_again(inputs: CardInputs) -> None:
    card = render_card(inputs)
    again, faults = read_front_matter(str(ModelCard(card)))
    assert faults == []
    assert again == build_metadata(inputs)


def test_several_data_sets_are_named_with_their_commits_and_no_single_revision(two_sets: CardInputs) -> None:
    result = ModelCard(render_card(two_sets)).data.eval_results[0]
    assert (result.dataset_split, result.dataset_revision, result.dataset_config) == (None, None, None)
    for source in two_sets.data.sources:
        assert f"{source.repo} ({source.split}, revision {source.commit})" in result.dataset_name


def test_nothing_null_is_written(bare: CardInputs) -> None:
    content = yaml.safe_load(split_card(render_card(bare))[0] or "")
    assert None not in content.values()
    assert "language" not in content
    assert "model-index" not in content


@pytest.mark.parametrize("commit", ["1234567890123456789012345678901234567e99", "1" * 40, "0" * 39 + "7"])
def test_a_commit_that_looks_like_a_number_is_quoted_for_every_reader(inputs: CardInputs, commit: str) -> None:
    source = inputs.data.sources[0].model_copy(update={"commit": commit})
    front = dump_front_matter(
        build_metadata(replace(inputs, data=inputs.data.model_copy(update={"sources": [source]})))
    )
    assert f"revision: '{commit}'" in front


@pytest.mark.parametrize(
    "name", ["no", "null", "1e3", "0x10", "0o7", ".5", "2026-01-31", "~", "a: b", "- x", "---", "x\n---\n"]
)
def test_texts_that_yaml_could_misread_come_back_as_they_were(name: str) -> None:
    metadata = CardMetadata.model_validate({**MINIMAL, "tags": [name], "license_name": name})
    front = dump_front_matter(metadata)
    assert read_front_matter(front + "\nbody") == (metadata, [])
    assert ModelCard(front + "\nbody").data.tags == [name]


def test_language_codes_stay_and_other_words_go(inputs: CardInputs, change_source) -> None:
    metadata = build_metadata(change_source(inputs, languages=["no", "English", "pt-BR", "no", "code", ""]))
    assert metadata.language == ["no", "pt-BR", "code"]


@pytest.mark.parametrize(
    "change",
    [
        {"licence": "mit"},
        {"license": "license"},
        {"base_model": "/home/me/model"},
        {"base_model": "./model"},
        {"base_model": None},
        {"datasets": []},
        {"datasets": ["/data/quotes.jsonl"]},
        {"library_name": "diffusers"},
        {"language": ["English"]},
        {"model-index": []},
    ],
)
def test_a_wrong_key_or_value_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CardMetadata.model_validate({**MINIMAL, **change})


def test_a_value_that_is_no_number_is_refused(inputs: CardInputs) -> None:
    measure = inputs.evaluation.measures[0].model_copy(update={"tuned": float("inf")})
    with pytest.raises(CardError, match="metadata cannot"):
        render_card(replace(inputs, evaluation=inputs.evaluation.model_copy(update={"measures": [measure]})))


def test_a_local_path_as_base_is_refused_by_the_card(inputs: CardInputs) -> None:
    pins = inputs.pins.model_copy(update={"base": inputs.pins.base.model_copy(update={"repo": "/home/me/gpt2"})})
    with pytest.raises(CardError) as caught:
        render_card(replace(inputs, pins=pins))
    assert "base_model" in caught.value.details[0]
