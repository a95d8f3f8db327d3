"""Releases are shown a line each, with nothing that a terminal would act upon."""

from hubtune.cli.release import list_lines
from hubtune.records.release import ListedMeasure, ListedRelease, ReleaseList

MEASURE = ListedMeasure(name="perplexity\x1b[2J", split="held-out", n=8, base=30.0, tuned=20.0)
GOOD = ListedRelease(
    tag="v1.0.0",
    version=True,
    commit="a" * 40,
    date="2026-01-31T12:00:00+00:00",
    artifact="adapter",
    measures=[MEASURE],
    source="records",
    problem=None,
)
BAD = GOOD.model_copy(update={"tag": "old", "date": None, "artifact": None, "measures": [], "problem": "lost"})


def _list(**changes: object) -> ReleaseList:
    found = ReleaseList(
        repo="org/tuned",
        main="a" * 40,
        main_tags=["v1.0.0"],
        untagged=0,
        untagged_is_least=False,
        releases=[GOOD, BAD],
    )
    return found.model_copy(update=changes)


def test_each_release_has_a_line_and_its_problem_another():
    assert list_lines(_list()) == [
        "v1.0.0  2026-01-31  aaaaaaa  adapter  perplexity [2J 20 (base 30)",
        "old                 aaaaaaa  -        -",
        "        ! lost",
        "",
        "main is on aaaaaaa, which is v1.0.0.",
    ]


def test_commits_of_main_without_a_tag_are_counted():
    beyond = _list(main_tags=[], untagged=200, untagged_is_least=True)

    assert list_lines(beyond)[-1] == "main is on aaaaaaa; its at least 200 newest commits have no tag."
    assert list_lines(_list(main_tags=[], untagged=1))[-1] == "main is on aaaaaaa; its newest commit has no tag."
    assert list_lines(_list(main=None, main_tags=[]))[-1] == "There is no main branch."


def test_no_release_is_said():
    assert list_lines(_list(releases=[]))[0] == "org/tuned has no tag yet."
