"""Files to measure bias with are read before anything is fetched or trained."""

from pathlib import Path

import pytest

from hubtune.config.load import load_config
from hubtune.pipeline.check import CheckFinding, check_run
from hubtune.pipeline.context import RunOptions

_CONFIG = "base: {repo: a/b}\ndata: [{repo: a/c, text: t}]\nevaluate: {bias: {pairs: mine.csv}}\n"


@pytest.fixture
def finding(tmp_path: Path, served, listener):
    def found(text: str) -> CheckFinding:
        (tmp_path / "mine.csv").write_text(text)
        file = tmp_path / "hubtune.yaml"
        file.write_text(_CONFIG)
        checks = check_run(load_config(file), file, RunOptions(run_dir=tmp_path), listener)
        (finding,) = [finding for finding in checks.findings if finding.check == "bias"]
        return finding

    return found


def test_a_file_with_wrong_columns_is_a_fault_that_names_them(finding):
    seen = finding("first,second\nan aunt ran,an uncle ran\n")

    assert seen.status == "error"
    assert (
        "mine.csv (`evaluate.bias.pairs`) has no column 'more', 'less'; its columns are: 'first', 'second'"
        in seen.detail
    )


def test_what_the_files_hold_is_told(finding):
    seen = finding("more,less\nan aunt ran,an uncle ran\n")

    assert (seen.status, seen.detail) == ("ok", "its files hold 1 pairs")
