"""Release notes tell people what changed, and nothing of a repository acts in them."""

import ast
import re
from dataclasses import replace

import pytest

from hubtune.pages.html import RepoLinks, render_markdown
from hubtune.pipeline.published import read_release
from hubtune.release.differences import compare_releases
from hubtune.release.notes import render_notes, write_notes
from tests.release.conftest import REPO


@pytest.fixture(scope="module")
def trained(several):
    return write_notes(REPO, "v1.0.0", "v1.1.0").markdown


def test_the_notes_begin_with_the_headline(trained):
    lines = [line for line in trained.split("\n") if line]

    assert lines[0] == "# tuned v1.1.0"
    assert lines[2] == (
        "**Perplexity on held-out rows: 19.00, 20.00 before (\N{MINUS SIGN}5.0%)**; not significant, because the 95% "
        "interval of the difference includes zero."
    )
    assert "| Perplexity | 8 held-out | 20.00 | 19.00 | \N{MINUS SIGN}1.00 |" in trained
    assert "- `train.learning_rate`: `0.01` → `0.02`" in lines


def test_the_release_is_loaded_at_its_tag_and_named_by_its_commit(trained, several):
    snippet = re.search(r"```python\n(.*?)```", trained, re.DOTALL)[1]

    assert ast.parse(snippet)
    assert 'tag = "v1.1.0"' in snippet
    assert several.tags(REPO)["v1.1.0"] in trained


def test_what_a_record_says_stays_text(trained):
    (line,) = (line for line in trained.split("\n") if "alert" in line)
    assert "\x1b" not in trained

    html = render_markdown(line, RepoLinks("/org/tuned", "main")).html

    assert "<script" not in html
    assert "href" not in html
    assert html.count("[x](javascript:alert)") == 2


def test_other_data_is_told_with_its_commits(several):
    notes = write_notes(REPO, "v1.1.0", "v2.0.0").markdown

    assert "- Dataset `org/sayings`: commit `ddddddd` → `eeeeeee`" in notes
    assert "because the releases were not measured on the same rows" in notes


def test_another_kind_of_artifact_is_said_first(several):
    before = read_release(REPO, "v1.0.0")
    after = replace(before, commit="a" * 40, manifest=before.manifest.model_copy(update={"artifact": "merged"}))

    notes = render_notes(compare_releases(before, after, "v1.0.0", "v1.1.0"), after)

    assert "**The kind of artifact changed:** `v1.0.0` contains an adapter, and `v1.1.0` contains complete" in notes


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("v1.1.0", "stable", "are the same commit, so nothing changed"),
        ("v1.1.0", "v1.0.0", "is an older version than"),
    ],
)
def test_what_is_not_one_version_after_the_other_is_said(several, a: str, b: str, words: str):
    assert words in write_notes(REPO, a, b).markdown
