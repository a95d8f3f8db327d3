"""Clients that keep the Hub waiting are let go. Each test waits for the Hub to act, however long that takes."""

import json
import resource
import select
import socket
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi

from hubtune.localhub import EmbeddedHub
from hubtune.localhub.api.connection import HEAD_LIMIT, Patience
from hubtune.localhub.git_objects import Pointer
from hubtune.localhub.server import most_connections
from tests.localhub.conftest import RawClient
from tests.localhub.test_large_files import CONTENT, upload_path

LONG = 600.0


@pytest.fixture
def connect():
    open_ones = []

    def connect_to(hub: EmbeddedHub) -> socket.socket:
        address = urlsplit(hub.url)
        open_ones.append(socket.create_connection((address.hostname, address.port), timeout=60))
        return open_ones[-1]

    yield connect_to
    for one in open_ones:
        one.close()


def read_all(connection: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def test_connections_without_end_are_told_to_come_back(root, connect, monkeypatch, raw_client):
    monkeypatch.setattr("hubtune.localhub.server.most_connections", lambda: 5)
    with EmbeddedHub(root) as hub:
        held = [connect(hub) for _ in range(5)]
        for one in held:
            one.sendall(b"GET /api/models HTTP/1.1\r\nHost: localhost\r\n")
        assert raw_client(hub.url)("GET", "/api/models").status == 503
        for one in held:
            one.close()
        assert any(raw_client(hub.url)("GET", "/api/models").status == 200 for _ in range(100))


@pytest.mark.parametrize(
    ("files", "connections"), [(256, 256), (1024, 448), (20_000, 4096), (resource.RLIM_INFINITY, 4096)]
)
def test_the_number_of_connections_follows_the_number_of_files(monkeypatch, files, connections):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert most_connections() == connections


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_request_that_never_gets_complete_is_given_up(root, connect, sent):
    with EmbeddedHub(root, patience=Patience(head=0.2, pause=LONG, reading=LONG, idle=LONG)) as hub:
        connection = connect(hub)
        connection.sendall(sent)
        assert read_all(connection) == b""


def test_the_second_request_of_a_connection_has_the_same_deadline(root, connect):
    with EmbeddedHub(root, patience=Patience(head=0.2, pause=LONG, reading=LONG, idle=LONG)) as hub:
        connection = connect(hub)
        connection.sendall(b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\nGET /none HT")
        assert read_all(connection).startswith(b"HTTP/1.1 404")


def test_an_idle_connection_is_closed(root, connect):
    with EmbeddedHub(root, patience=Patience(head=LONG, pause=LONG, reading=LONG, idle=1)) as hub:
        connection = connect(hub)
        connection.sendall(b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 404")


def test_a_body_that_does_not_come_is_answered_408_and_logged(root, connect, requests):
    with EmbeddedHub(root, patience=Patience(head=0.2, pause=0.2, reading=LONG, idle=LONG)) as hub:
        connection = connect(hub)
        head = b"POST /api/validate-yaml HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{"
        connection.sendall(head)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"error": "The body came too slowly."}
    assert requests()[-1]["status"] == 408


def test_a_body_that_dribbles_in_is_given_up_on_the_whole(root, connect):
    patience = Patience(head=0.2, pause=0.5, rate=10**6, reading=LONG, idle=LONG)
    with EmbeddedHub(root, patience=patience) as hub:
        connection = connect(hub)
        connection.sendall(b"POST /api/validate-yaml HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n")
        # Each byte comes within the pause allowed, so only the rate can end this.
        connection.settimeout(0.1)
        answer = b""
        while not answer:
            try:
                connection.sendall(b"x")
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_body_must_have_come_in_time_whatever_its_rate(root, connect):
    with EmbeddedHub(root, patience=Patience(head=0.2, pause=LONG, rate=1, whole=0.3, reading=LONG, idle=LONG)) as hub:
        connection = connect(hub)
        connection.sendall(b"POST /api/validate-yaml HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n")
        # Much at once, so that neither the pause nor the rate can end this.
        connection.sendall(b"x" * 500_000)
        assert read_all(connection).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("kind", ["commit", "large file"])
def test_so_must_one_that_goes_to_the_disk(root, connect, monkeypatch, kind):
    monkeypatch.setattr("hubtune.localhub.api.upload_routes._UPLOAD", 0.3)
    monkeypatch.setattr("hubtune.localhub.api.upload_routes._SLOWEST", 10**9)
    with EmbeddedHub(root, patience=Patience(head=0.2, pause=LONG, rate=1, whole=0.3, reading=LONG, idle=LONG)) as hub:
        HfApi(endpoint=hub.url, token="t").create_repo("org/model")
        head = "POST /api/models/org/model/commit/main"
        if kind == "large file":
            head = f"PUT {upload_path(RawClient(hub.url), hub.url)}"
        connection = connect(hub)
        sent = (
            f"{head} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
        )
        connection.sendall(sent.encode() + CONTENT[:-1])
        assert read_all(connection).startswith(b"HTTP/1.1 408")
    assert list((root / "tmp").iterdir()) == []


def test_a_body_that_is_not_wanted_any_more_is_not_taken_in_for_ever(root, connect):
    with EmbeddedHub(root, patience=Patience(head=0.2, pause=LONG, reading=LONG, idle=LONG)) as hub:
        connection = connect(hub)
        connection.sendall(b"POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 404")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send_for_ever(connection)


def test_a_client_that_does_not_take_in_its_answer_is_let_go(root, connect):
    with EmbeddedHub(root, patience=Patience(head=LONG, pause=LONG, reading=0.2, idle=LONG)) as hub:
        store_large_file(hub, root, 64 << 20)
        connection = connect(hub)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /org/model/resolve/main/w.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
        # Not a byte is read until the Hub has given up, which shows as an error of the connection itself.
        connection.settimeout(None)
        wait_for_reset(connection)
        assert len(read_all(connection)) < 64 << 20


def store_large_file(hub: EmbeddedHub, root, size: int) -> None:
    path = root / "objects/00/00" / ("0" * 64)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(size)
    api = HfApi(endpoint=hub.url, token="t")
    api.create_repo("org/model")
    (root / "repos/models/org/model.git/large-files" / path.name).touch()
    pointer = Pointer("0" * 64, size).encode()
    api.upload_file(path_or_fileobj=pointer, path_in_repo="w.txt", repo_id="org/model")


def send_for_ever(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x" * 1024)


def wait_for_reset(connection: socket.socket) -> None:
    poll = select.poll()
    poll.register(connection, select.POLLHUP | select.POLLERR | select.POLLRDHUP)
    assert poll.poll(60_000)


def test_headers_are_bounded(hub, connect, raw):
    connection = connect(hub)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (HEAD_LIMIT + 1))
    answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"exceed 64 KiB" in answer.partition(b"\r\n\r\n")[2]
    assert raw("GET", "/" + "x" * (HEAD_LIMIT - 1000)).status == 404


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n"])
def test_what_is_not_http_is_answered_in_the_hubs_form(hub, connect, sent):
    connection = connect(hub)
    connection.sendall(sent)
    answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 400")
    assert "not valid HTTP" in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_a_body_that_breaks_off_in_the_middle_leaves_the_hub_well(hub, connect, raw, model, requests):
    connection = connect(hub)
    head = b"POST /api/models/org/model/commit/main HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    connection.sendall(head + b"Authorization: Bearer t\r\n\r\n5\r\nabcde\r\nZZ\r\n")
    assert read_all(connection).startswith(b"HTTP/1.1 400")
    assert raw("GET", "/api/models/org/model").status == 200
