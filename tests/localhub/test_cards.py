import json

import pytest
from huggingface_hub import ModelCard, RepoCard

from hubtune.localhub.ids import RepoType
from hubtune.localhub.trees import card_tags
from hubtune.metadata.front_matter import front_matter
from hubtune.metadata.hub_rules import check_card

CARD = """---
license: mit
base_model: org/base
base_model_relation: adapter
library_name: peft
pipeline_tag: text-generation
datasets: [org/data]
language: [en, de]
tags: [lora]
---
# Card
"""
DATASET = "dataset: {name: d, type: d}"


def test_the_info_shows_what_the_card_says(api, model):
    api.upload_file(path_or_fileobj=CARD.encode(), path_in_repo="README.md", repo_id=model)
    info = api.model_info(model)
    assert set(info.tags) == {
        "peft", "text-generation", "lora", "en", "de", "license:mit", "dataset:org/data", "base_model:org/base",
        "base_model:adapter:org/base",
    }  # fmt: skip
    assert (info.pipeline_tag, info.library_name, info.card_data.license) == ("text-generation", "peft", "mit")


def test_a_dataset_is_filed_under_prefixed_tags():
    card = {"license": "mit", "language": "en", "task_categories": ["text-generation"], "tags": ["quotes"]}
    tags = card_tags(RepoType.DATASET, card)
    assert tags == ["quotes", "license:mit", "language:en", "task_categories:text-generation"]


def test_the_card_is_read_at_the_revision(api, model):
    old = api.model_info(model).sha
    api.upload_file(path_or_fileobj=CARD.encode(), path_in_repo="README.md", repo_id=model)
    assert api.model_info(model, revision=old).card_data is None


def test_the_client_loads_a_card(api, model, monkeypatch, tmp_path):
    api.upload_file(path_or_fileobj=CARD.encode(), path_in_repo="README.md", repo_id=model)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", api.endpoint)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        api.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert ModelCard.load(model).data.to_dict()["base_model"] == "org/base"


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ("license: [", "Invalid YAML metadata"),
        ("- a list", "Invalid YAML metadata"),
        ("license: mti", '"license" must be one of ['),
        ("license: [mit, 3]", '"license" must be one of ['),
        ("base_model: a b", '"base_model" with value "a b" is not valid'),
        ("base_model: [a/b, 7]", '"base_model" with value "7" is not valid'),
        ("license: other\nlicense_name: 7", '"license_name" must be a string'),
        ("license: other\nlicense_link: [a]", '"license_link" must be a string'),
        ("base_model: a/b\nbase_model_relation: child", '"base_model_relation" must be one of ['),
        ("datasets: [ok/id, /var/data]", '"datasets[1]" with value "/var/data" is not valid'),
        ("tags: one", '"tags" must be an array'),
        ("tags: [one, 2]", '"tags[1]" must be a string'),
        ("metrics: 3", '"metrics" must be an array'),
        ("metrics: [f1, 2]", '"metrics[1]" must be a string'),
        ("pipeline_tag: [a]", '"pipeline_tag" must be a string'),
        ("language: english", '"language" with value "english" is not valid'),
        ("language: [en, 7]", '"language[1]" must be a string'),
        ("widget: {}", '"widget" must be an array'),
        ("model-index: {}", '"model-index" must be an array'),
        ("model-index: [m]", '"model-index[0]" must be of type object'),
        ("model-index: [{name: m}]", '"model-index[0].results" must be an array'),
        ("model-index: [{name: 1, results: []}]", '"model-index[0].name" must be a string'),
        ("model-index: [{results: [{}]}]", '"model-index[0].results[0].dataset" is required'),
        (f"model-index: [{{results: [{{{DATASET}, task: {{}}}}]}}]", '"model-index[0].results[0].task.type" must be'),
        (f"model-index: [{{results: [{{{DATASET}, metrics: 1}}]}}]", '"model-index[0].results[0].metrics" must be'),
        (
            f"model-index: [{{results: [{{{DATASET}, metrics: [{{type: f1}}]}}]}}]",
            '"model-index[0].results[0].metrics[0].value" is required',
        ),
    ],
)
def test_bad_metadata_is_an_error(metadata, error):
    errors, warnings = check_card(f"---\n{metadata}\n---\ntext")
    assert (len(errors), warnings) == (1, [])
    assert errors[0].startswith(error)


@pytest.mark.parametrize("config", ["config:", "config: 3"])
def test_a_config_that_is_stated_must_be_text(config):
    index = f"model-index:\n- name: m\n  results:\n  - dataset:\n      name: d\n      {config}\n"
    assert check_card(f"---\n{index}---\n")[0] == ['"model-index[0].results[0].dataset.config" must be a string']


def test_a_result_need_not_name_a_config():
    index = "model-index:\n- name: m\n  results:\n  - dataset:\n      name: d\n"
    assert check_card(f"---\n{index}---\n")[0] == []


@pytest.mark.parametrize("text", ["", "# No metadata", "---\n\n---\n", "---\n{}\n---\n"])
def test_a_card_without_metadata_gets_a_warning(text):
    errors, warnings = check_card(text)
    assert (errors, len(warnings)) == ([], 1)


def test_a_good_card_passes():
    assert check_card(CARD) == ([], [])
    assert front_matter(CARD)["license"] == "mit"


def test_the_client_refuses_to_commit_a_bad_card(api, model):
    with pytest.raises(ValueError, match='"license" must be one of'):
        api.upload_file(path_or_fileobj=b"---\nlicense: x\n---\n", path_in_repo="README.md", repo_id=model)
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        api.upload_file(path_or_fileobj=b"plain", path_in_repo="README.md", repo_id=model)


def test_a_single_metric_may_stand_as_a_word():
    assert check_card("---\nmetrics: accuracy\n---\n") == ([], [])


def test_a_card_is_checked_in_text_by_a_client_that_reads_text(api, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", api.endpoint)
    with pytest.raises(ValueError, match=r'\A- Error: "license" must be one of \[[^{}]*\Z'):
        RepoCard("---\nlicense: x\n---\n").validate(repo_type="model")
    RepoCard("---\nlicense: mit\n---\n").validate(repo_type="model")


def test_warnings_are_told_in_text_too(raw):
    body = json.dumps({"repoType": "model", "content": "# Nothing"}).encode()
    answer = raw("POST", "/api/validate-yaml", body, Accept="text/plain")
    assert (answer.status, answer.body) == (200, b"- Warning: empty or missing yaml metadata in repo card")
    assert answer.headers["content-type"].startswith("text/plain")
    assert raw("POST", "/api/validate-yaml", body).json["warnings"] != []


@pytest.mark.parametrize("language", ["en", "[en, deu]", "code", "multilingual", "no", "zh-Hans"])
def test_languages_are_codes_or_special_values(language):
    assert check_card(f"---\nlanguage: {language}\n---\n") == ([], [])


def test_a_licence_of_ones_own_has_a_name_and_a_link():
    card = "---\nlicense: other\nlicense_name: quotes-1.0\nlicense_link: LICENSE\n---\n"
    assert check_card(card) == ([], [])


def test_an_unknown_task_is_a_warning():
    errors, (warning,) = check_card("---\npipeline_tag: quote-writing\n---\n")
    assert errors == []
    assert warning.startswith('The pipeline_tag "quote-writing" is not in the official list: ')


def test_a_dataset_card_is_held_to_the_rules_of_datasets():
    card = "---\nbase_model: a b\nconfigs:\n- data_files: x\n---\n"
    assert check_card(card, RepoType.DATASET)[0] == ['"configs[0].config_name" must be a string']


def test_a_bad_card_is_refused_with_the_commit_too(raw, model):
    lines = [
        {"key": "header", "value": {"summary": "s"}},
        {"key": "file", "value": {"path": "README.md", "content": "---\nlicense: x\n---\n"}},
    ]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = raw("POST", f"/api/models/{model}/commit/main", body)
    assert answer.status == 400
    assert answer.json["error"].startswith("Your push was rejected during YAML metadata verification:\n- Error: ")


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("metadata", ["a: &a [*a]", LAUGHS, "a: " + "[" * 60 + "]" * 60])
def test_metadata_that_unfolds_without_end_is_refused(metadata):
    (error,), _ = check_card(f"---\n{metadata}\n---\n")
    assert "nested more than 50 deep" in error or "holds more than 100,000 values" in error


def test_values_that_json_does_not_know_become_text():
    assert front_matter("---\n2020-01-01: 2020-01-02\n---\n") == {"2020-01-01": "2020-01-02"}
