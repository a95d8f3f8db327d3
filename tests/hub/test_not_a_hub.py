"""What answers in the place of a Hub is told by its address, whatever it says; there is never a traceback."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from hubtune.errors import HubError
from hubtune.hub.contents import list_files
from hubtune.hub.history import history
from hubtune.hub.read import list_refs, resolve, whoami
from hubtune.hub.snapshot import fetch
from hubtune.hub.write import create_repo
from hubtune.records.pins import Pin

COMMIT = "a" * 40
INFO = {"id": "org/a", "sha": COMMIT, "siblings": [{"rfilename": "a"}], "private": False, "tags": [], "downloads": 1}
ASKED: dict[str, Callable[[], object]] = {
    "resolve": lambda: resolve("org/a", "model", "v1"),
    "resolve a data set": lambda: resolve("org/a", "dataset", COMMIT),
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
def _answering(kind: str, body: bytes, monkeypatch: pytest.MonkeyPatch, moved: str | None = None) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if moved is not None and self.path != moved:
                self.send_response(302)
                self.send_header("Location", moved)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Type", kind)
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


@pytest.mark.parametrize("asked", ["resolve", "whoami"])
def test_a_login_page_that_one_is_sent_to_is_told(monkeypatch, asked: str):
    with _answering(*PAGES["html"], monkeypatch, moved="/login") as url, pytest.raises(HubError) as caught:
        ASKED[asked]()

    assert "not a Hub" in caught.value.message
    assert url in caught.value.message


def test_a_page_in_answer_to_a_write_is_told(monkeypatch):
    with _answering(*PAGES["html"], monkeypatch), pytest.raises(HubError, match="not a Hub"):
        create_repo("org/new")


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
