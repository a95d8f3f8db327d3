"""Web pages cannot drive the Hub, neither from another origin nor by a name that they have resolve to this machine."""

import socket
from urllib.parse import urlsplit

import pytest

from hubtune.localhub import EmbeddedHub, HubOptions

PATH = "/api/models/org/model"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:1", "localhost.", "[::1]:8931", "127.0.0.2:80"])
def test_loopback_names_are_the_hubs(raw, model, host):
    assert raw("GET", PATH, Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8931", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", "2130706433"],
)
def test_other_names_are_refused_before_any_work(raw, model, host, root):
    answer = raw("POST", f"{PATH}/branch/next", b"{}", Host=host)
    assert answer.status == 403
    assert host in answer.json["error"]
    assert answer.headers["x-error-message"] == answer.json["error"]
    assert not (root / "repos/models/org/model.git/refs/heads/next").exists()


@pytest.mark.parametrize("host", ["", "a b", "user@localhost", "[::1", "localhost:x", "localhost/x"])
def test_a_host_that_is_none_is_a_bad_request(raw, model, host):
    assert raw("GET", PATH, Host=host).status == 400


def test_further_names_can_be_allowed(root, raw_client):
    with EmbeddedHub(root, HubOptions(allow_hosts=["hub.lab"])) as hub:
        raw = raw_client(hub.url)
        assert raw("GET", "/api/whoami-v2", Host="hub.lab:80").status == 200
        assert raw("GET", "/api/whoami-v2", Host="other.lab").status == 403


def test_a_hub_for_other_machines_goes_by_its_addresses_and_no_name(root, raw_client):
    with EmbeddedHub(root, HubOptions(host="0.0.0.0", open_to_all=True)) as hub:
        raw = raw_client(f"http://127.0.0.1:{urlsplit(hub.url).port}")
        assert raw("GET", "/api/whoami-v2", Host="192.168.1.7:8931").status == 200
        assert raw("GET", "/api/whoami-v2", Host="evil.example").status == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:1", "x"])
def test_pages_of_another_origin_are_refused(raw, model, origin):
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        assert raw(method, f"{PATH}/branch/b", Origin=origin).status == 403


def test_the_hubs_own_pages_are_not(raw, hub, model):
    answer = raw("GET", PATH, Origin=hub.url, Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors")
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site", "odd"])
def test_requests_that_another_site_has_the_browser_make_are_refused(raw, model, site):
    assert raw("GET", PATH, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors", Sec_Fetch_Dest="image").status == 403
    form = {"Sec_Fetch_Site": site, "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert raw("POST", f"{PATH}/branch/b", b"{}", **form).status == 403
    frame = {**form, "Sec_Fetch_Dest": "iframe"}
    assert raw("GET", PATH, **frame).status == 403


def test_a_link_to_the_hub_can_be_followed(raw, model):
    link = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    for site in ("cross-site", "none"):
        assert raw("GET", PATH, Sec_Fetch_Site=site, **link).status == 200


def test_a_refusal_is_logged_like_any_answer(raw, model, requests):
    raw("GET", PATH, Host="evil.example")
    assert requests()[-1]["status"] == 403


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\ncontent-length: 0",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 1_0",
        "Content-Length: five",
        "Content-Length: ",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ],
)
def test_a_body_of_two_lengths_or_none_that_can_be_read_is_a_bad_request(hub, framing):
    address = urlsplit(hub.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        head = f"POST /api/validate-yaml HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n"
        # What follows would be a request of its own, had the body no length.
        connection.sendall(head.encode() + b"0\r\n\r\nGET /api/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    assert received.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
    assert received.count(b"HTTP/1.1 ") == 1
