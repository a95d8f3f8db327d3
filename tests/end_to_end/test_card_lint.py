"""The card of a release, as anybody finds it on a Hub, keeps every rule of the lint."""

import pytest

from hubtune.errors import CardFindingsError, RepoNotFoundError
from tests.end_to_end.worlds import TARGET


@pytest.fixture(scope="module", params=["gpt2", pytest.param("llama", marks=pytest.mark.full_trial)])
def world(request, released_on, tmp_path_factory):
    return released_on(request.param).copy(tmp_path_factory.mktemp("reader") / "world")


def test_a_release_has_no_findings(world) -> None:
    with world.served() as api:
        done = world.hubtune("--json", "card", "lint", "--strict", f"{TARGET}@v1.0.0", HF_ENDPOINT=api.endpoint)
        commit = api.model_info(TARGET, revision="v1.0.0").sha
    assert (done.code, done.document) == (
        0,
        {"repo": TARGET, "commit": commit, "findings": [], "errors": 0, "warnings": 0},
    )


def test_a_run_has_no_findings(world) -> None:
    with world.served() as api:
        done = world.hubtune("card", "lint", "--strict", "run", HF_ENDPOINT=api.endpoint)
    assert (done.code, done.out) == (0, "Nothing found in run/README.md\n")


def test_a_release_is_compared_with_its_run(world) -> None:
    with world.served() as api:
        done = world.done("card", "diff", f"{TARGET}@v1.0.0", "run", HF_ENDPOINT=api.endpoint)
    assert done.out.endswith("The cards say the same.\n")


def test_a_changed_card_is_an_error_of_its_own(world) -> None:
    card = world.run_dir / "README.md"
    before = card.read_text()
    card.write_text(before.replace("## Provenance", "## Origin"))
    done = world.hubtune("--json", "card", "lint", "--offline", "run")
    card.write_text(before)
    assert done.code == CardFindingsError.exit_code
    assert [finding["message"] for finding in done.document["findings"]] == ["section Provenance: missing"]


def test_a_repository_that_is_not_there_is_told(world) -> None:
    with world.served() as api:
        world.hubtune("card", "lint", "lab/nothing", HF_ENDPOINT=api.endpoint).refused(RepoNotFoundError, "lab/nothing")
