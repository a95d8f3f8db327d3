"""Every request ends: within limits, with a word while it waits; and what the environment says is checked first."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import constants, get_session

import hubtune
from hubtune.errors import ConfigError, FileError, HubtuneError, HubUnreachableError, InvalidTokenError
from hubtune.hub import client, require_environment
from hubtune.hub.client import RequestLimits, limited, requests_sent_once
from hubtune.hub.read import history, list_refs, resolve, whoami
from hubtune.hub.repo_files import list_files
from hubtune.hub.snapshot import fetch
from hubtune.hub.translate import hub_errors
from hubtune.records.base import Pin, report_waits_to

COMMIT = "a" * 40
PIN = Pin(repo="org/x", type="model", requested="main", commit=COMMIT, license=None, gated=False)
ASKS = {
    "resolve": lambda: resolve("org/x", "model", "main"),
    "refs": lambda: list_refs("org/x"),
    "files": lambda: list_files("org/x", COMMIT),
    "history": lambda: history("org/x", COMMIT, 5),
    "whoami": whoami,
    "fetch": lambda: fetch(PIN),
}


@pytest.fixture
def silent(monkeypatch) -> Iterator[str]:
    """A server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", url)
        monkeypatch.setenv("HF_TOKEN", "hf_annannann")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.05)
        client.use()
        with limited(RequestLimits(read=0.05, said=0.02)):
            yield url


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_a_hub_that_accepts_and_never_answers_is_given_up_after_one_wait(silent, ask):
    with pytest.raises(HubUnreachableError, match=r"no answer within 0\.05 s") as caught:
        ask()
    assert silent in caught.value.message
    assert caught.value.passing


def test_a_request_waits_ten_seconds_for_a_connection_and_a_minute_for_a_byte():
    request = httpx2.Request("GET", "http://127.0.0.1:9")
    with client.Client() as asking, pytest.raises(httpx2.HTTPError):
        asking.send(request)
    assert request.extensions["timeout"] == {"connect": 10.0, "read": 60.0, "write": 60.0}


def test_while_a_release_is_published_too(silent):
    with requests_sent_once(), pytest.raises(HubUnreachableError, match="no answer within"):
        list_refs("org/x")


def test_waiting_is_said(silent, listener):
    report_waits_to(listener)
    with pytest.raises(HubUnreachableError):
        whoami()
    assert listener.said == [f"Waiting for {silent.removeprefix('http://')}, which has sent nothing for 0.02 s …"]


def test_an_answer_that_stops_half_way_is_given_up(monkeypatch):
    def answer(listener: socket.socket, done: threading.Event) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
            done.wait()

    with socket.create_server(("127.0.0.1", 0)) as listener, limited(RequestLimits(read=0.05)):
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        done = threading.Event()
        thread = threading.Thread(target=answer, args=(listener, done))
        thread.start()
        client.use()
        with pytest.raises(HubUnreachableError), hub_errors("org/x"):
            get_session().get(constants.ENDPOINT, timeout=None)
        done.set()
        thread.join()


@pytest.mark.parametrize(
    "address",
    [
        "not a url",
        "http://h:99999",
        "ftp://hub.example",
        "",
        "hub.example:8080",
        "http://",
        "http://[::1",
        "http://hub.example/?a=b",
        "http://ann:secret@hub.example",
        "http://ann:secret@hub.example:99999",
        "http://hüb.example",
        "http://hub.example\u2028",
    ],
)
def test_an_address_that_no_hub_can_have_is_refused_at_once(monkeypatch, address):
    monkeypatch.setattr(constants, "ENDPOINT", address)
    with pytest.raises(ConfigError, match="HF_ENDPOINT is not the address of a Hub") as caught:
        resolve("org/x", "model", "main")
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_ENDPOINT", "http://h:99999"),
        ("HF_ENDPOINT", "http://[::1"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "x"),
        ("HF_HUB_ETAG_TIMEOUT", "1.5"),
        ("HF_DATASETS_IN_MEMORY_MAX_SIZE", "-1"),
    ],
)
def test_what_the_hub_s_client_cannot_be_imported_with_is_refused_before(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name):
        require_environment()


def test_it_is_refused_by_commands_that_are_given_no_hub(tmp_path):
    code = "import sys; sys.argv[1:] = ['card', 'lint', 'org/x']; from hubtune.cli.main import main; main()"
    env = {**os.environ, "HF_ENDPOINT": "http://h:99999", "PYTHONPATH": str(Path(hubtune.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (ConfigError.exit_code, False)
    assert "HF_ENDPOINT is not the address of a Hub" in done.stderr


@pytest.mark.parametrize("address", ["https://huggingface.co", "http://[::1]:8931", "http://hub.example/mirror"])
def test_an_address_that_a_hub_can_have_is_not_refused(monkeypatch, address):
    monkeypatch.setattr(constants, "ENDPOINT", address)
    client.require_usable()


@pytest.mark.parametrize("token", ["“hf_abcdefgh”", "hf_abc defgh", "hf_abc\x07defgh", "hf_abcdé", "密码"])
def test_a_token_that_cannot_be_one_is_refused_and_not_repeated(monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(InvalidTokenError, match="HF_TOKEN") as caught:
        whoami()
    assert "abc" not in str(caught.value)
    assert "密" not in str(caught.value)


def _folder(path):
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (_folder, FileError),
        (os.mkfifo, FileError),
        (lambda path: path.symlink_to("/dev/zero"), FileError),
        (lambda path: path.write_bytes(b"hf_\xff\xfe"), HubtuneError),
        (lambda path: path.write_text("hf_“abc”"), InvalidTokenError),
    ],
    ids=["folder", "pipe", "device", "bytes", "quote"],
)
def test_a_token_file_that_holds_no_token_is_named(monkeypatch, tmp_path, make, kind):
    path = tmp_path / "token"
    make(path)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(path))
    with pytest.raises(kind) as caught:
        whoami()
    assert str(path) in caught.value.message
    assert "abc" not in caught.value.message


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_one_is_named(monkeypatch, name):
    monkeypatch.setenv(name, "gopher://x")
    client.use()
    with pytest.raises(ConfigError, match="network settings of the environment") as caught:
        resolve("org/x", "model", "main")
    assert name in str(caught.value.hint)
    client.use()
