"""`hubtune card preview`: the card as a Hub would show it, from a run or any folder, with nothing published."""

import http.client
import json
import re
import signal
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from hubtune.errors import HubError, RecordError
from tests.browser import WIDTHS, visit
from tests.end_to_end.worlds import TARGET
from tests.pages.pictures import png

CARD = """---
license: cc0-1.0
base_model: org/base
---
# A card

![chart](charts/a.png) ![remote](https://a.example/b.png) [licence](LICENSE) <script>alert(1)</script>

![outside](../outside.png)
"""


@pytest.fixture
def folder(bare):
    """A folder with a card, a picture that belongs to it, and a picture and a text that do not."""
    folder = bare.work / "release"
    (folder / "charts").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    (folder / "charts/a.png").write_bytes(png())
    (folder / "notes.txt").write_text("private notes")
    (bare.work / "outside.png").write_bytes(png())
    (folder / "led-outside.png").symlink_to(bare.work / "outside.png")
    return folder


@contextmanager
def previewing(world, folder, *arguments):
    """Runs the command on a free port; gives the process and the address that it printed."""
    with world.start("card", "preview", folder, *arguments) as process:
        try:
            line = process.stderr.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/", line)
            assert address, line + process.stderr.read()
            yield process, address[0]
        finally:
            process.kill()


def get(address, path="/", method="GET", **headers):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body.decode(errors="replace")


def test_a_browser_sees_the_card_with_its_pictures_and_nothing_from_elsewhere(bare, folder, browser):
    with previewing(bare, folder) as (_, address):
        for width in WIDTHS:
            with visit(browser, address, width=width) as seen:
                assert (seen.console, seen.failed) == ([], [])
                assert all(request.startswith(address) for request in seen.requests)
                assert seen.overflow <= 0
                assert seen.page.inner_text(".prose h1") == "A card"
                assert "cc0-1.0" in seen.page.inner_text(".panel")
                assert seen.page.evaluate("document.querySelector('.prose img').naturalWidth") == 64


def test_a_change_shows_when_the_page_is_loaded_again_and_ctrl_c_ends_it(bare, folder):
    before = sorted(path.name for path in folder.iterdir())
    with previewing(bare, folder) as (process, address):
        (folder / "README.md").write_text("---\na: [\n---\n# Another card")
        text = get(address)[1]
        assert "Another card" in text
        assert "front matter of this card cannot be read" in text
        (folder / "README.md").unlink()
        assert get(address)[0].status == 404
        (folder / "README.md").write_text(CARD)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(30) == 0
        assert "Traceback" not in rest
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_run_is_shown_under_the_name_that_it_is_published_as(bare, folder):
    (folder / "config.yaml").write_bytes(bare.config().read_bytes())
    with previewing(bare, folder) as (_, address):
        assert TARGET.rpartition("/")[2] in get(address)[1]
        assert get(address, f"/{TARGET}/resolve/main/charts/a.png")[0].status == 200


@pytest.mark.parametrize(
    "path",
    [
        *("notes.txt", "%2e%2e/outside.png", "led-outside.png"),
        *(
            pytest.param(path, marks=pytest.mark.full_trial)
            for path in ("README.md", "../outside.png", "/etc/passwd", "none.png")
        ),
    ],
)
def test_only_pictures_of_the_folder_are_served(bare, folder, path):
    with previewing(bare, folder) as (_, address):
        answer, text = get(address, f"/release/resolve/main/{path}")
        assert answer.status == 404
        assert "private notes" not in text


def test_other_pages_and_other_names_are_kept_out(bare, folder):
    with previewing(bare, folder) as (_, address):
        answer, _ = get(address)
        assert answer.status == 200
        assert "script" not in answer.headers["content-security-policy"]
        assert get(address, Host="evil.example")[0].status == 403
        assert get(address, Origin="https://evil.example")[0].status == 403
        assert get(address, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0].status == 403
        assert get(address, method="POST")[0].status == 405


def test_a_file_holds_all_that_it_needs(bare, folder, browser):
    (folder / "README.md").write_text(f"{CARD}\n![text](notes.txt) ![led](led-outside.png)\n")
    before = sorted(path.name for path in folder.iterdir())
    done = bare.done("--json", "card", "preview", folder, "--output", "card.html")
    assert json.loads(done.out)["path"] == "card.html"
    assert sorted(path.name for path in folder.iterdir()) == before
    text = (bare.work / "card.html").read_text()
    assert "private notes" not in text
    assert "<script" not in text
    assert text.count("data:image/png;base64,") == 1
    for scheme in ("light", "dark"):
        with visit(browser, f"file://{bare.work}/card.html", width="phone", scheme=scheme) as seen:
            assert (seen.console, seen.failed) == ([], [])
            assert [request for request in seen.requests if not request.startswith("data:")] == [seen.page.url]
            assert seen.overflow <= 0
            assert seen.page.evaluate("document.querySelector('.prose img').naturalWidth") == 64


def test_a_folder_without_a_card_is_refused_with_what_to_do(bare):
    bare.hubtune("card", "preview", bare.work).refused(RecordError, "README.md", "hubtune card render")


def test_a_taken_port_is_refused(bare, folder):
    with previewing(bare, folder) as (_, address):
        port = str(urlsplit(address).port)
        bare.hubtune("card", "preview", folder, "--port", port).refused(HubError, port, "--port")
