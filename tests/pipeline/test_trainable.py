"""What can be prepared and not be trained on is refused before a run starts."""

import pytest

from hubtune.errors import ConfigError
from hubtune.pipeline.trainable import check_data
from tests.sample_runs import sample_config

LABELLED = "data[0]={repo: org/s, format: classification}"


def test_data_to_classify_is_refused_with_its_place_and_what_can_be_done_with_it():
    with pytest.raises(
        ConfigError, match=r"data\[0\]\.format is classification: .* does not train classifiers yet"
    ) as (caught):
        check_data(sample_config(LABELLED))

    assert "hubtune data show" in str(caught.value.hint)


def test_other_data_passes():
    check_data(sample_config())
    check_data(sample_config("data[0]={repo: org/s}"))
