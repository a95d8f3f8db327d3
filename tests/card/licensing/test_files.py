"""The legal files of a release: every text that has to travel along, every attribution, every notice."""

from pathlib import Path

import pytest

from hubtune.card.licensing.decision import decide
from hubtune.card.licensing.legal_files import license_files
from hubtune.config.schema import AcceptedLicense
from hubtune.hub.license_facts import read_licensed_input
from hubtune.records.base import LicensedInput, Pin

COMMIT = "c" * 40


@pytest.fixture
def snapshot(tmp_path: Path):
    """Makes the snapshot of an input and returns what it says of its license, with its folder."""

    def make(kind: str, repo: str, *licenses: str, **files: str) -> tuple[LicensedInput, Path]:
        folder = tmp_path / kind / repo
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
        pin = Pin(
            repo=repo,
            type="model" if kind == "base" else "dataset",
            requested="main",
            commit=COMMIT,
            license=list(licenses),
        )
        return read_licensed_input(pin, folder), folder

    return make


def shipped(*inputs: tuple[LicensedInput, Path], wanted: str = "auto", accepted: tuple[AcceptedLicense, ...] = ()):
    decision = decide([item for item, _ in inputs], wanted, accepted=accepted)
    assert decision.verdict != "refused", decision.reasons
    folders = {(item.kind, item.repo, item.commit): folder for item, folder in inputs}
    files = license_files(decision, folders, owner="org", year=2026)
    return {path: content.decode() for path, content in files.items()}


def test_the_bases_own_licence_file_is_the_releases(snapshot):
    base = snapshot("base", "org/base", "mit", LICENSE="MIT License\n\nCopyright (c) 2019 Someone\n")
    files = shipped(base, snapshot("data", "org/data", "cc0-1.0"))

    assert files["LICENSE"] == "MIT License\n\nCopyright (c) 2019 Someone\n"
    assert files["LICENSES/models/org/base/ccccccc/LICENSE"] == files["LICENSE"]


def test_a_text_that_no_input_has_comes_from_hubtune_with_its_blanks_filled(snapshot):
    files = shipped(snapshot("base", "org/base", "mit"), snapshot("data", "org/data", "cc-by-4.0"))

    assert "Copyright (c) 2026 org\n" in files["LICENSE"]
    assert "Copyright (c) the copyright holders of org/base\n" in files["LICENSES/mit.txt"]
    assert "Creative Commons Attribution 4.0" in files["LICENSES/cc-by-4.0.txt"]
    assert not any("<year>" in text for text in files.values())


def test_the_notice_attributes_each_input_at_its_revision(snapshot):
    notice = shipped(snapshot("base", "org/base", "apache-2.0"), snapshot("data", "org/data", "cc-by-4.0"))["NOTICE"]

    assert f"- org/base at revision {COMMIT}, licensed under Apache License 2.0 (https" in notice
    assert f"- org/data at revision {COMMIT}, licensed under Creative Commons Attribution 4.0 (https" in notice
    assert "The files of this release were changed" in notice


def test_notice_and_policy_files_of_an_input_travel_along(snapshot):
    base = snapshot("base", "org/base", "llama3.2", LICENSE__txt="Llama terms", USE_POLICY__md="Policy", NOTICE="Note")
    files = shipped(base, snapshot("data", "org/data", "cc0-1.0"))

    assert {path: files[path] for path in files if path.startswith("LICENSES/models/")} == {
        "LICENSES/models/org/base/ccccccc/LICENSE.txt": "Llama terms",
        "LICENSES/models/org/base/ccccccc/USE_POLICY.md": "Policy",
        "LICENSES/models/org/base/ccccccc/NOTICE": "Note",
    }
    assert files["LICENSE"] == "Llama terms"
    assert "Llama 3.2 is licensed under the Llama 3.2 Community License, Copyright ©" in files["NOTICE"]
    assert "Built with Llama" in files["NOTICE"]


def test_terms_that_no_one_licence_holds_stand_one_after_the_other(snapshot):
    base = snapshot("base", "org/base", "gemma", LICENSE="Gemma terms")
    files = shipped(base, snapshot("data", "org/data", "cc-by-nc-4.0"))

    assert "This release may be used for non-commercial purposes only." in files["LICENSE"]
    assert "Gemma terms" in files["LICENSE"]
    assert "Creative Commons Attribution-NonCommercial 4.0 International" in files["LICENSE"]


def test_a_share_alike_release_has_that_licences_text(snapshot):
    files = shipped(snapshot("base", "org/base", "mit"), snapshot("data", "org/data", "cc-by-sa-4.0"))

    assert files["LICENSE"].startswith("Creative Commons Attribution-ShareAlike 4.0 International")


def test_a_signed_reason_stands_in_the_notice(snapshot):
    signed = AcceptedLicense(repo="org/data", reason="Its owner allowed it by letter.", by="A. Lawyer")
    notice = shipped(snapshot("base", "org/base", "mit"), snapshot("data", "org/data"), accepted=(signed,))["NOTICE"]

    assert "org/data at revision" in notice
    assert "by A. Lawyer: Its owner allowed it by letter." in notice


def test_a_base_that_alone_could_have_the_text_and_lacks_it_is_refused(snapshot):
    base, _ = snapshot("base", "org/base", "gemma")

    decision = decide([base, snapshot("data", "org/data", "mit")[0]])

    assert decision.verdict == "refused"
    assert any("no LICENSE file" in reason for reason in decision.reasons)


@pytest.mark.parametrize("name", ["LICENSE", "license.md", "Licence.txt", "COPYING", "NOTICE.txt", "USE_POLICY.md"])
def test_a_legal_file_is_found_by_its_name(snapshot, name: str):
    item, _ = snapshot("base", "org/base", "mit", **{name.replace(".", "__"): "text"})

    assert list(item.files) == [name]


def test_other_files_are_not_taken_for_legal_ones(snapshot):
    item, _ = snapshot("base", "org/base", "mit", README__md="---\nlicense: mit\n---\n", config__json="{}")

    assert item.files == {}
