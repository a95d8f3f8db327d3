"""Releases that an earlier hubtune published are read, verified and used as those of today are.

Each archive in tests/golden/releases is the folder of an embedded Hub: a base, a dataset and `lab/quotes-lora` at
v1.0.0, published by the version that it is named after.
"""

import tarfile
from pathlib import Path

import pytest

from tests.end_to_end.worlds import TARGET, World

ARCHIVES = sorted((Path(__file__).parent.parent / "golden/releases").glob("*.tar.xz"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def earlier(request: pytest.FixtureRequest, bare: World) -> World:
    with tarfile.open(request.param) as archive:
        archive.extractall(bare.root, filter="data")
    return bare


def test_an_earlier_release_verifies(earlier: World):
    record = earlier.done("--json", "verify", f"{TARGET}@v1.0.0", "--evaluate", "--hub", earlier.hub).document

    unconfirmed = {claim["name"]: claim for claim in record["claims"] if claim["status"] != "confirmed"}
    assert list(unconfirmed) == ["origin"], unconfirmed
    assert len(record["claims"]) == 11


def test_an_earlier_release_writes_text_and_is_listed(earlier: World):
    release = f"{TARGET}@v1.0.0"
    written = earlier.done("--json", "generate", release, "Quote by the baker:", "--hub", earlier.hub).document
    listed = earlier.done("--json", "release", "list", TARGET, "--hub", earlier.hub).document

    assert written["completion"]
    assert written["base"] == "lab/llama"
    assert [each["tag"] for each in listed["releases"]] == ["v1.0.0"]
