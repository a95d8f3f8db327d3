"""What answers in the place of a Hub is told by its address, whatever it says; there is never a traceback."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

import pytest
from huggingface_hub import constants

from hubtune.errors import HubError, PermissionDeniedError
from hubtune.hub.read import history, list_refs, resolve, whoami
from hubtune.hub.repo_files import list_files
from hubtune.hub.snapshot import fetch
from hubtune.hub.write import CommitDraft, commit, create_repo, create_tag, propose
from hubtune.records.base import Pin

COMMIT = "a" * 40
INFO = {"id": "org/a", "sha": COMMIT, "siblings": [{"rfilename": "a"}], "private": False, "tags": [], "downloads": 1}
ASKED: dict[str, Callable[[], object]] = {
    "resolve": lambda: resolve("org/a", "model", "v1"),
    "resolve a dataset": lambda: resolve("org/a", "dataset", COMMIT),
    "list_refs": lambda: list_refs("org/a"),
    "list_files": lambda: list_files("org/a", COMMIT),
    "history": lambda: history("org/a", COMMIT, 5),
    "whoami": whoami,
    "fetch": lambda: fetch(Pin(repo="org/a", type="model", requested="main", commit=COMMIT)),
}
PAGES = {
    "html": ("text/html", b"<!doctype html><title>Log in</title>"),
    "html as json": ("application/json", b"<html>"),
    "half": ("application/json", b'{"a":'),
    "empty": ("application/json", b""),
    "list of one": ("application/json", b"[1]"),
    "word": ("application/json", b'"yes"'),
    "null": ("application/json", b"null"),
    "deep": ("application/json", b"[" * 100_000),
    "bytes": ("application/json", b"\xff\xfe"),
}


@contextmanager
def _answering(
    kind: str,
    body: bytes,
    monkeypatch: pytest.MonkeyPatch,
    moved: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if moved is not None and self.path != moved:
                self.send_response(302)
                self.send_header("Location", moved)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(status)
            self.send_header("Content-Type", kind)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setenv("HF_TOKEN", "hf_annannann")
        try:
            yield url
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("page", PAGES)
def test_an_answer_that_is_no_hub_s_is_an_error_with_the_address(monkeypatch, tmp_path, asked: str, page: str):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with _answering(*PAGES[page], monkeypatch) as url, pytest.raises(HubError, match="not a Hub") as caught:
        ASKED[asked]()

    assert url in caught.value.message
    # Asking once more would bring the same page.
    assert not page.startswith("html") or ("page for people" in caught.value.message and not caught.value.passing)


@pytest.mark.parametrize("asked", ["resolve", "whoami"])
def test_a_login_page_that_one_is_sent_to_is_told(monkeypatch, asked: str):
    with _answering(*PAGES["html"], monkeypatch, moved="/login") as url, pytest.raises(HubError) as caught:
        ASKED[asked]()

    assert "not a Hub" in caught.value.message
    assert url in caught.value.message


@pytest.mark.parametrize("asked", ["resolve", "list_refs", "whoami", "fetch"])
@pytest.mark.parametrize("status", [401, 403, 404, 407, 511])
def test_a_page_with_an_error_of_its_own_is_no_word_about_the_token_or_the_repository(
    monkeypatch, tmp_path, asked: str, status: int
):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with _answering(*PAGES["html"], monkeypatch, status=status) as url, pytest.raises(HubError) as caught:
        ASKED[asked]()

    assert type(caught.value) is HubError
    assert "not a Hub" in caught.value.message
    assert url in caught.value.message
    assert f"status {status}" in caught.value.message


@pytest.mark.parametrize("name", ["X-Request-Id", "X-Error-Message"])
def test_a_page_with_a_hub_s_headers_is_a_hub_s(monkeypatch, name: str):
    with (
        _answering(*PAGES["html"], monkeypatch, status=403, headers={name: "Root=1-a"}),
        pytest.raises(PermissionDeniedError, match="may not read org/a"),
    ):
        resolve("org/a", "model", "v1")


def test_an_answer_that_cannot_be_unpacked_is_told_with_the_address(monkeypatch):
    headers = {"Content-Encoding": "gzip"}
    with _answering(*PAGES["half"], monkeypatch, headers=headers) as url, pytest.raises(HubError) as caught:
        resolve("org/a", "model", "v1")

    assert caught.value.message.startswith(f"What {url} answered about org/a was damaged on its way: ")


def test_a_page_of_a_server_that_is_down_may_be_a_hub_s_gateway_s(monkeypatch):
    with _answering(*PAGES["html"], monkeypatch, status=502), pytest.raises(HubError) as caught:
        resolve("org/a", "model", "v1")

    assert caught.value.passing


def test_a_page_in_answer_to_a_write_is_told(monkeypatch):
    with _answering(*PAGES["html"], monkeypatch), pytest.raises(HubError, match="not a Hub"):
        create_repo("org/new")


WRITES: dict[str, Callable[[], object]] = {
    "create_repo": lambda: create_repo("org/new"),
    "commit": lambda: commit("org/a", CommitDraft({"README.md": b"# A", "a.bin": b"a"}, COMMIT, "m")),
    "propose": lambda: propose("org/a", CommitDraft({"a.txt": b"a"}, COMMIT, "m")),
    "create_tag": lambda: create_tag("org/a", "v1.0.0", COMMIT),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("page", PAGES)
def test_what_answers_a_write_in_another_form_is_told(monkeypatch, write: str, page: str):
    with _answering(*PAGES[page], monkeypatch) as url, pytest.raises(HubError, match="not a Hub") as caught:
        WRITES[write]()

    assert url in caught.value.message


@pytest.mark.parametrize(
    "change",
    [{"sha": None}, {"sha": 5}, {"sha": "main"}, {"siblings": "x"}, {"siblings": [1]}, {"siblings": [{}]}],
    ids=str,
)
def test_parts_of_another_form_are_told(monkeypatch, change: dict[str, object]):
    body = json.dumps({**INFO, **change}).encode()
    with _answering("application/json", body, monkeypatch), pytest.raises(HubError, match="not a Hub's answer"):
        resolve("org/a", "model", COMMIT)


def test_the_answer_of_a_hub_is_taken(monkeypatch):
    with _answering("application/json", json.dumps(INFO).encode(), monkeypatch):
        assert resolve("org/a", "model", COMMIT).files == {"a": 0}
