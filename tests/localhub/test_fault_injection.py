import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from hubtune.cli.app import app
from hubtune.errors import ConfigError
from hubtune.localhub import EmbeddedHub, FaultPlan, FaultRule, Faults

INFO = "/api/models/org/model"
COMMIT = f"{INFO}/commit/main"
CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def hub(root, faults, stopper):
    hub = EmbeddedHub(root, faults=faults)
    hub.start()
    HfApi(endpoint=hub.url, token="t").create_repo("org/model")
    yield hub
    stopper(hub)


@pytest.mark.parametrize("status", [401, 403, 404, 409, 412, 429, 500, 503])
def test_each_status_is_answered_in_the_hubs_form_and_marked_in_the_log(raw, faults, requests, status):
    faults.add(FaultRule(path=INFO, status=status, nth=1))
    answer = raw("GET", INFO, X_Request_Id="abc")
    assert (answer.status, answer.headers["x-request-id"]) == (status, "abc")
    assert answer.json["error"] == answer.headers["x-error-message"]
    assert (requests()[-1]["status"], requests()[-1]["fault"]) == (status, f"status {status}")
    assert requests()[-1]["repo"] == "org/model"
    assert raw("GET", INFO).status == 200
    assert "fault" not in requests()[-1]


def test_the_client_reads_the_codes_that_a_fault_gives(api, faults):
    faults.add(FaultRule(method=("GET",), path=INFO, status=404, nth=1))
    faults.add(FaultRule(method=("GET",), path=INFO, status=403, code="GatedRepo", message="Ask first.", nth=2))
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("org/model")
    with pytest.raises(HfHubHTTPError, match=r"Ask first\."):
        api.model_info("org/model")
    assert api.model_info("org/model").id == "org/model"


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_told_in_seconds_or_as_a_date(raw, faults, status):
    faults.add(FaultRule(path=INFO, status=status, retry_after=7, nth=1))
    faults.add(FaultRule(path=INFO, status=status, retry_after=3600, retry_after_as="date", nth=2))
    assert raw("GET", INFO).headers["retry-after"] == "7"
    before = time.time()
    until = parsedate_to_datetime(raw("GET", INFO).headers["retry-after"]).timestamp()
    assert before + 3599 <= until <= time.time() + 3600


def post_commit(raw, **headers):
    lines = [{"key": "header", "value": {"summary": "s"}}, {"key": "file", "value": {"path": "a", "content": "x"}}]
    return raw("POST", COMMIT, "\n".join(map(json.dumps, lines)).encode(), **headers)


@pytest.mark.parametrize(("when", "commits", "status"), [("before", 1, 444), ("after", 2, 200)])
def test_a_connection_is_dropped_before_the_work_or_after_it(raw, api, faults, requests, when, commits, status):
    faults.add(FaultRule(method="POST", path="*/commit/*", drop=True, when=when, nth=1))
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        post_commit(raw)
    assert requests()[-1]["fault"] == ("drop" if when == "before" else "drop after")
    assert requests()[-1]["status"] == status
    assert len(api.list_repo_commits("org/model")) == commits


@pytest.mark.parametrize(("when", "commits"), [("before", 1), ("after", 2)])
def test_a_status_comes_instead_of_the_work_or_instead_of_its_answer(raw, api, faults, when, commits):
    faults.add(FaultRule(path="*/commit/*", status=500, when=when))
    assert post_commit(raw).status == 500
    assert len(api.list_repo_commits("org/model")) == commits


@pytest.fixture
def large(api) -> str:
    api.upload_file(path_or_fileobj=CONTENT, path_in_repo="w.bin", repo_id="org/model")
    return "/org/model/resolve/main/w.bin"


def test_half_a_body_is_sent_under_the_length_of_the_whole(hub, large, faults, requests):
    faults.add(FaultRule(method="GET", path="*/resolve/*", body="half"))
    connection = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=60)
    connection.request("GET", large)
    response = connection.getresponse()
    assert response.getheader("content-length") == str(len(CONTENT))
    with pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    connection.close()
    assert caught.value.partial == CONTENT[: len(CONTENT) // 2]
    assert requests()[-1]["fault"] == "body half"


@pytest.mark.parametrize("path", [INFO, "/org/model/resolve/main/w.bin"])
def test_wrong_bytes_have_the_right_length(raw, large, faults, path):
    right = raw("GET", path).body
    faults.add(FaultRule(path=path, body="wrong"))
    wrong = raw("GET", path)
    assert wrong.status == 200
    assert len(wrong.body) == len(right)
    assert all(one != other for one, other in zip(wrong.body, right, strict=True))


def test_a_slow_answer_is_right_in_the_end(raw, large, faults, requests):
    faults.add(FaultRule(path=large, delay=0.05, nth=1))
    faults.add(FaultRule(path=large, trickle=4_000_000, delay=0.05, nth=2))
    faults.add(FaultRule(path=COMMIT, delay=0.05, when="after"))
    assert raw("GET", large).body == CONTENT
    assert raw("GET", large).body == CONTENT
    assert post_commit(raw).status == 200
    assert [line.get("fault") for line in requests()[-3:]] == [
        "delay 0.05",
        "delay 0.05 trickle 4000000",
        "delay 0.05 after",
    ]


def test_a_client_that_does_not_wait_long_enough_finds_its_commit_made(hub, api, faults):
    faults.add(FaultRule(path="*/commit/*", delay=30, when="after", nth=1))
    connection = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=1)
    lines = [{"key": "header", "value": {"summary": "s"}}, {"key": "file", "value": {"path": "a", "content": "x"}}]
    body = "\n".join(map(json.dumps, lines))
    connection.request("POST", COMMIT, body, {"Authorization": "Bearer t"})
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    # A busy Hub may still be at it; the test fails by never ending, not by being early.
    while len(api.list_repo_commits("org/model")) < 2:
        pass


@pytest.mark.parametrize(
    ("which", "struck"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"nth": 3}, [3]),
        ({"first": 2}, [1, 2]),
        ({"every": 3}, [3, 6]),
        ({"from": 5}, [5, 6]),
        ({"to": 2}, [1, 2]),
        ({"from": 2, "to": 4}, [2, 3, 4]),
    ],
)
def test_which_of_the_requests_are_struck(which, struck):
    faults = Faults(FaultPlan.model_validate({"faults": [{"path": "/x", "status": 500, **which}]}))
    met = []
    for _ in range(6):
        assert faults.meet("GET", "/other") is None
        met.append(faults.meet("GET", "/x"))
    assert [count for count, fault in enumerate(met, start=1) if fault] == struck


@pytest.mark.parametrize(
    ("means", "method", "path", "meant"),
    [
        ({}, "GET", "/any", True),
        ({"method": "POST"}, "GET", "/any", False),
        ({"method": ["POST", "GET"]}, "GET", "/any", True),
        ({"path": "/api/*/commit/*"}, "POST", "/api/models/org/model/commit/refs%2Fpr%2F1", True),
        ({"path": "/api/*/commit"}, "POST", "/api/models/org/model/commit/main", False),
        ({"path": "/a.b[c]?"}, "GET", "/a.b[c]?", True),
        ({"path": "/a.b"}, "GET", "/axb", False),
        ({"regex": "/api/(models|datasets)/.*"}, "GET", "/api/datasets/x", True),
        ({"regex": "/api"}, "GET", "/api/x", False),
    ],
)
def test_which_requests_a_rule_means(means, method, path, meant):
    assert FaultRule.model_validate({"status": 500, **means}).means(method, path) is meant


def test_counts_are_exact_when_many_ask_at_once(raw, faults, requests):
    faults.add(FaultRule(path=INFO, status=503, every=5))
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: raw("GET", INFO).status, range(60)))
    assert (answers.count(503), answers.count(200)) == (12, 48)
    struck = [line.get("fault") for line in requests() if line["path"] == INFO and line["method"] == "GET"]
    assert struck.count("status 503") == 12


def test_of_two_rules_the_first_strikes_and_both_count(faults):
    for status in (500, 503):
        faults.add(FaultRule(status=status, nth=2 if status == 500 else 3))
    assert [getattr(faults.meet("GET", "/"), "status", None) for _ in range(4)] == [None, 500, 503, None]
    faults.clear()
    assert faults.meet("GET", "/") is None


def load(tmp_path, text: str) -> FaultPlan:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    return FaultPlan.load(path)


def test_a_plan_is_read_from_its_file(tmp_path):
    plan = load(
        tmp_path,
        """
faults:
  - {method: POST, path: /api/models/*/commit/*, nth: 2, drop: true, when: after}
  - {method: [GET, HEAD], regex: '.*/resolve/.*', from: 2, to: 3, body: half}
""",
    )
    assert [rule.label for rule in plan.faults] == ["drop after", "body half"]
    assert (plan.faults[1].start, plan.faults[1].stop, plan.faults[0].method) == (2, 3, ("POST",))
    assert load(tmp_path, "faults: []").faults == ()


MISTAKES = """
faults:
  - {path: x, status: 200, wait: 3}
  - {nth: 1, every: 2, status: 500, drop: true}
  - {regex: '(', path: /x, delay: 1}
  - {path: /x}
  - {from: 3, to: 2, body: half, when: after}
  - {retry_after: 3, status: 500, retry_after_as: date}
  - {code: RepoNotFound, drop: true, retry_after_as: date}
  - {nth: 0, status: 500}
fauls: []
"""


def test_all_mistakes_of_a_plan_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, MISTAKES)
    told = "\n".join(caught.value.details)
    for mistake in (
        "faults[0].path",
        "faults[0].status",
        "faults[0].wait",
        "faults[1]: only one of status, drop can happen; only one of nth, first, every and from/to can be given",
        "faults[2]: path and regex exclude each other; regex is not a regular expression",
        "faults[3]: nothing happens",
        "faults[4]: when: after goes with status, drop and delay; a body is always sent after the work; to is before",
        "faults[5]: retry_after goes with status 429 or 503",
        "faults[6]: code and message go with a status; retry_after_as goes with retry_after",
        "faults[7].nth",
        "fauls",
    ):
        assert mistake in told


@pytest.mark.parametrize("text", ["faults: [", "- a", "", "7"])
def test_a_plan_of_another_shape_is_a_config_error(tmp_path, text):
    with pytest.raises(ConfigError):
        load(tmp_path, text)


def test_the_command_line_names_the_mistakes_of_a_plan(tmp_path):
    (tmp_path / "faults.yaml").write_text("faults: [{path: /x}]")
    command = ["hub", "serve", str(tmp_path / "hub"), "--port", "0", "--faults", str(tmp_path / "faults.yaml")]
    run = CliRunner().invoke(app, command, standalone_mode=False)
    assert isinstance(run.exception, ConfigError)
    assert "faults[0]: nothing happens" in run.exception.details[0]
