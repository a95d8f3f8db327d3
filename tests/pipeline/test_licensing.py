"""A local file has the license that the config states; without one it is unknown, and signed off by the file's name."""

import pytest

from hubtune.pipeline.licensing import decide_release
from hubtune.records.base import LicensedInput
from tests.sample_runs import BASE_COMMIT, BASE_REPO, sample_config

BASE = LicensedInput(kind="base", repo=BASE_REPO, commit=BASE_COMMIT, licenses=["mit"])


def _config(more: str, *overrides: str):
    return sample_config(f"data[0]={{path: /somewhere/rows.jsonl, text: quote{more}}}", "card.license=auto", *overrides)


def test_a_stated_licence_is_used():
    decision = decide_release(_config(", license: cc-by-4.0"), [BASE])

    assert decision.verdict != "refused"
    assert any("rows.jsonl" in line for line in decision.attributions)


@pytest.mark.parametrize("stated", ["", ", license: unknown"])
def test_an_unknown_licence_is_refused_by_the_file_s_name(stated: str):
    decision = decide_release(_config(stated), [BASE])

    assert decision.verdict == "refused"
    assert any("rows.jsonl" in reason for reason in decision.reasons)
    assert not any("somewhere" in reason for reason in decision.reasons)


def test_an_unknown_licence_can_be_signed_off_by_the_file_s_name():
    accepted = "card.accept_license={repo: rows.jsonl, reason: My own notes., by: The author}"

    decision = decide_release(_config("", accepted), [BASE])

    assert decision.verdict != "refused"
    assert [entry.repo for entry in decision.accepted] == ["rows.jsonl"]
