"""Every golden card lints clean, in a repository that holds what a release ships, against its inputs' own licenses."""

from dataclasses import replace
from pathlib import Path

import pytest

from hubtune.card.licensing.legal_files import license_files
from hubtune.card.lint.card import read_folder
from hubtune.card.lint.run import lint_source
from hubtune.card.plots import render_pictures
from hubtune.card.render import render_card
from hubtune.records.base import LicensedInput
from tests.sample_cards import CARDS

# Nothing is known to be allowed there, which is what its card says too.
UNLICENSED = "nothing-assessed"


def snapshot(item: LicensedInput, root: Path) -> tuple[tuple[str, str, str], Path]:
    """Makes a folder with the legal files that an input is said to have."""
    folder = root / str(item.repo)
    folder.mkdir(parents=True, exist_ok=True)
    for name in item.files:
        (folder / name).write_text(f"The terms of {item.label}\n")
    return (item.kind, str(item.repo), str(item.commit)), folder


@pytest.mark.parametrize("kind", CARDS)
def test_a_golden_card_has_no_finding(kind: str, tmp_path: Path) -> None:
    inputs = CARDS[kind]()
    files = {"README.md": render_card(inputs).encode(), **render_pictures(inputs)}
    if inputs.licenses.verdict != "refused":
        snapshots = dict(snapshot(term.input, tmp_path / "snapshots") for term in inputs.licenses.terms)
        files |= license_files(inputs.licenses, snapshots, owner="org", year=2026)
    repo = tmp_path / "repo"
    for path, content in files.items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_bytes(content)
    # An unclear license that the author signed off is the card's to show, and cannot be seen by a rule.
    terms = [] if inputs.licenses.accepted or kind == UNLICENSED else [term.input for term in inputs.licenses.terms]
    source = replace(read_folder(repo), inputs=tuple(terms), name=inputs.target and inputs.target.repo[4:])

    assert [f"{found.line}: {found.rule}: {found.message}" for found in lint_source(source).findings] == []
