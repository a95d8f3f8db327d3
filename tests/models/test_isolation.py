"""Whether rows can share a sequence is asked of the model itself."""

import pytest

from hubtune.models.row_attention import rows_are_isolated
from tests.architectures import make_model


@pytest.mark.parametrize(
    ("kind", "isolated"),
    [("gpt2", True), ("llama", True), ("gemma2", True), ("bloom", False), ("opt", False), ("mamba", False)],
)
def test_architectures_that_heed_positions_keep_rows_apart_and_others_do_not(kind: str, isolated: bool):
    model = make_model(kind)

    assert rows_are_isolated(model) is isolated
    assert not model.training
