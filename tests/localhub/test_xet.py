"""What becomes of clients that try Xet storage, which this Hub lacks: the variable HF_HUB_DISABLE_XET is not set."""

import importlib.util
import os

import pytest

needs_xet = pytest.mark.skipif(importlib.util.find_spec("hf_xet") is None, reason="hf_xet is not installed")
TOLD = "This Hub has no Xet storage: set HF_HUB_DISABLE_XET=1 and run the command again"


@needs_xet
def test_an_upload_through_xet_ends_with_the_variable_that_it_lacks(api, hf, model, tmp_path):
    (tmp_path / "model.bin").write_bytes(os.urandom(1000))
    done = hf("upload", model, "model.bin", HF_HUB_DISABLE_XET="")
    assert done.returncode == 1
    assert TOLD in done.stderr.splitlines()[-1]
    assert not api.file_exists(model, "model.bin")
    assert hf("upload", model, "model.bin").returncode == 0
    assert api.file_exists(model, "model.bin")


@needs_xet
def test_a_download_needs_no_variable(api, hf, model, tmp_path):
    content = os.urandom(1000)
    api.upload_file(path_or_fileobj=content, path_in_repo="model.bin", repo_id=model)
    assert hf("download", model, "--local-dir", "here", HF_HUB_DISABLE_XET="").returncode == 0
    assert (tmp_path / "here/model.bin").read_bytes() == content


@pytest.mark.parametrize("kind", ["read", "write"])
def test_the_reason_stands_beside_the_status_and_in_the_body(raw, model, kind):
    answer = raw("GET", f"/api/models/{model}/xet-{kind}-token/refs%2Fpr%2F1?create_pr=1")
    assert (answer.status, answer.reason, answer.json) == (404, TOLD, {"error": TOLD})
    assert answer.headers["x-error-code"] == "XetNotAvailable"


def test_nobody_learns_of_a_private_repository_by_asking_for_xet(api, raw):
    api.create_repo("org/secret", private=True)
    for name in ("secret", "none"):
        answer = raw("GET", f"/api/models/org/{name}/xet-read-token/main", token=None)
        assert (answer.status, answer.headers["x-error-code"]) == (401, "RepoNotFound")


def test_a_file_system_reads_large_files_without_xet(api, model):
    """The name of the content by which clients copy would have them try Xet, were it told to those who read."""
    api.upload_file(path_or_fileobj=b"\0large", path_in_repo="model.bin", repo_id=model)
    assert api.get_paths_info(model, ["model.bin"], expand=True)[0].xet_hash is None
    assert api.get_paths_info(model, ["model.bin"])[0].xet_hash is not None
