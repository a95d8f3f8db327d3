"""The code stays easy to find one's way in: few modules, each whole, and no import that goes round."""

import pytest

from tests import structure

MOST = {
    "modules": 300,
    "modules above 450 lines": 0,
    "imports, % of lines": 6.0,
    "functions of six or more arguments": 25,
    "file names that modules share": 20,
    "circles of imports": 0,
    "noqa and type: ignore": 50,
}


@pytest.fixture(scope="module")
def figures() -> dict[str, tuple[float, list[str]]]:
    return {title: (value, names) for title, value, names in structure.figures()}


@pytest.mark.parametrize("title", MOST)
def test_a_figure_of_the_structure_is_within_its_bound(figures, title):
    value, names = figures[title]
    assert value <= MOST[title], names


def test_most_modules_hold_a_whole_subject(figures):
    assert 110 <= figures["median lines of a module"][0] <= 220
