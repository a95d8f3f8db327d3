"""What can be known of the data is looked at before a run starts."""

import json

import pytest

from hubtune.errors import ConfigError, DataError
from hubtune.pipeline.check import check_data
from tests.sample_runs import sample_config

LABELLED = "data[0]={repo: org/s, format: classification}"


def test_a_classifier_s_adapter_cannot_be_published_merged():
    with pytest.raises(ConfigError, match=r"data\[0\]\.format is classification, .* cannot be merged") as caught:
        check_data(sample_config(LABELLED, "publish.artifact=merged"))

    assert "publish.artifact: adapter" in str(caught.value.hint)


@pytest.mark.parametrize("more", [[], ["train.method=full", "publish.artifact=merged"]])
def test_data_to_classify_and_other_data_passes(more):
    check_data(sample_config(LABELLED, *more))
    check_data(sample_config(*more))
    check_data(sample_config("data[0]={repo: org/s}", *more))


def test_an_earlier_task_s_file_that_is_missing_is_named_with_its_place():
    with pytest.raises(DataError, match=r"no file .*gone.jsonl, which earlier\.data\[0\]\.path names"):
        check_data(sample_config("earlier.data=[{path: gone.jsonl, text: quote}]"))


@pytest.mark.parametrize(
    ("template", "words"),
    [("{% for m in messages %}", "line 1: Unexpected end"), ("{{ 'x' * 3000000000 }}", "512 MiB of memory")],
)
def test_a_chat_template_that_is_none_is_refused_before_anything_is_fetched(template: str, words: str):
    with pytest.raises(ConfigError, match=f"chat template of the config cannot be used: .*{words}"):
        check_data(sample_config(f"data[0]={{repo: org/s, chat_template: {json.dumps(template)}}}"))
