"""The inputs of the sample cards, as fixtures."""

import pytest

from hubtune.card.inputs import CardInputs
from tests.sample_cards import make_inputs, nothing_assessed, two_data_sets, with_source


@pytest.fixture
def change_source():
    """Changes the first dataset of some inputs."""
    return with_source


@pytest.fixture
def inputs() -> CardInputs:
    """A published adapter with statements on some subjects."""
    return make_inputs()


@pytest.fixture
def bare() -> CardInputs:
    """An unpublished adapter of inputs without licenses, whose author says nothing, with too few rows to measure."""
    return nothing_assessed()


@pytest.fixture
def two_sets() -> CardInputs:
    """An adapter trained on two datasets."""
    return two_data_sets()
