import pytest
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/models/org/model", 200),
        ("GET", "/api/models/org/none", 404),
        ("GET", "/no/such/page/at/all", 404),
        ("POST", "/api/models/org/model/commit/main", 400),
        ("PATCH", "/api/models/org/model", 404),
    ],
)
def test_every_answer_echoes_the_request_id(raw, model, method, path, status):
    answer = raw(method, path, X_Request_Id="abc-123")
    assert (answer.status, answer.headers["x-request-id"]) == (status, "abc-123")
    assert raw(method, path, X_Amzn_Trace_Id="def-456").headers["x-request-id"] == "def-456"
    assert raw(method, path).headers["x-request-id"]


def test_the_client_shows_the_id_that_it_sent(api):
    with pytest.raises(RepositoryNotFoundError) as caught:
        api.model_info("org/none")
    sent = caught.value.response.request.headers["x-amzn-trace-id"]
    assert f"(Request ID: {sent})" in str(caught.value)


MISSING = {
    "collections": lambda api: list(api.list_collections()),
    "papers": lambda api: api.paper_info("2401.00001"),
    "settings/webhooks": lambda api: api.list_webhooks(),
    "jobs/demo": lambda api: list(api.list_jobs(namespace="demo")),
    "buckets/org/b": lambda api: api.bucket_info("org/b"),
    "kernels/org/k": lambda api: api.kernel_info("org/k"),
    "spaces/org/s/runtime": lambda api: api.get_space_runtime("org/s"),
    "models/org/m/like": lambda api: api.unlike("org/m"),
}


@pytest.mark.parametrize(("path", "ask"), MISSING.items(), ids=MISSING)
def test_what_only_the_public_hub_has_is_named_as_missing_here(api, path, ask):
    with pytest.raises(HfHubHTTPError, match=f"The embedded Hub has no such function: [A-Z]+ /api/{path}") as caught:
        ask(api)
    assert caught.value.response.status_code == 404


def test_an_endless_request_id_is_cut(raw, model):
    assert raw("GET", f"/api/models/{model}", X_Request_Id="i" * 5000).headers["x-request-id"] == "i" * 200


def test_a_bug_answers_500_with_the_request_id_and_is_logged(raw, root, requests, model):
    (root / "repos/models/org/model.git/hub.json").write_text("{}")
    answer = raw("GET", "/api/models/org/model", X_Request_Id="abc")
    assert (answer.status, answer.headers["x-request-id"]) == (500, "abc")
    assert requests()[-1]["status"] == 500


def test_a_body_that_is_not_an_object_is_a_bad_request(raw, model):
    for body in (b"[]", b"{", b"\xff"):
        assert raw("POST", f"/api/models/{model}/tag/main", body).status == 400


def test_an_error_message_with_special_characters_is_readable_in_the_body(raw, model):
    answer = raw("GET", f"/api/models/{model}/revision/%C3%BC%0Ax")
    assert answer.json["error"] == "Invalid rev id: ü\nx"
    assert answer.headers["x-error-message"] == "Invalid rev id: ??x"
