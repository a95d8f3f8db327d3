"""Requests that meet at one repository: each is done as if it came alone, or told that the repository is gone."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from dulwich.objects import ObjectID

from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.ids import RepoId, RepoType
from hubtune.localhub.repos import HubRepo, RepoSettings

AT_ONCE = 12


@pytest.fixture
def together(raw):
    """Sends requests at the same moment and returns the statuses."""

    def send(requests):
        barrier = Barrier(len(requests))

        def one(request):
            method, path, body = request
            barrier.wait()
            return raw(method, path, json.dumps(body).encode()).status

        with ThreadPoolExecutor(len(requests)) as pool:
            return list(pool.map(one, requests))

    return send


def test_a_repository_is_moved_once_and_its_old_name_leads_there(raw, model, together):
    moves = [
        ("POST", "/api/repos/move", {"fromRepo": model, "toRepo": f"org/m{n}", "type": "model"}) for n in range(AT_ONCE)
    ]
    statuses = together(moves)
    assert sorted(statuses) == [200] + [404] * (AT_ONCE - 1)
    assert raw("GET", f"/api/models/{model}").json["id"] == f"org/m{statuses.index(200)}"


def test_a_repository_is_deleted_once(model, together):
    statuses = together([("DELETE", "/api/repos/delete", {"name": model, "type": "model"})] * AT_ONCE)
    assert sorted(statuses) == [200] + [404] * (AT_ONCE - 1)


def test_what_comes_too_late_for_a_repository_is_told_that_it_is_gone(model, together):
    late = [
        ("PUT", f"/api/models/{model}/settings", {"gated": "auto"}),
        ("POST", f"/api/models/{model}/discussions", {"title": "late", "description": "x"}),
        ("POST", f"/api/models/{model}/branch/late", {}),
        ("POST", f"/api/models/{model}/super-squash/main", {}),
    ]
    statuses = together([("DELETE", "/api/repos/delete", {"name": model, "type": "model"}), *late * 4])
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {200, 404, 409, 412}


@pytest.mark.parametrize("part", ["hub.json", "objects"])
def test_a_repository_that_is_half_gone_leaves_the_others_listed(raw, api, model, root, part):
    api.create_repo("org/other")
    (root / "repos/models/org/model.git" / part).rename(root / "tmp/gone")
    assert [info.id for info in api.list_models()] == ["org/other"]
    assert raw("GET", f"/api/models/{model}").headers["x-error-code"] == "RepoNotFound"


def test_who_reads_a_repository_while_another_takes_its_name_is_told_that_it_is_gone(api, root, model):
    path = root / "repos/models/org/model.git"
    settings = RepoSettings.model_validate_json((path / "hub.json").read_bytes())
    looked_up = HubRepo(RepoId(RepoType.MODEL, "org", "model"), path, settings)
    missing = ObjectID(b"0" * 40)
    with pytest.raises(KeyError), looked_up.git() as git:
        git[missing]
    api.delete_repo(model)
    api.create_repo(model)
    with pytest.raises(ApiError, match="not found") as told, looked_up.git() as git:
        git[missing]
    assert told.value.code == "RepoNotFound"
