"""Whatever a card says, a page gets text, its structure, links to the web and pictures of the card's repository."""

from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from hubtune.pages.html import TAGS, RepoLinks, render_markdown
from tests.pages.hostile import HOSTILE

LINKS = RepoLinks("/org/model", "main")
ALLOWED = {
    "align", "alt", "aria-label", "class", "colspan", "height", "href", "id", "open", "rel", "reversed", "rowspan",
    "scope", "src", "start", "title", "value", "width",
}  # fmt: skip
VOID = {"br", "col", "hr", "img", "wbr"}


class Reader(HTMLParser):
    """Collects every element and attribute, and whether all that is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.strange: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_comment(self, data):
        self.strange.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_hostile_gets_through(text):
    read = Reader(render_markdown(text, LINKS).html)
    assert read.open == []
    assert read.strange == []
    for tag, attributes in read.elements:
        assert tag in TAGS
        assert set(attributes) <= ALLOWED
        href = attributes.get("href", "#")
        assert (
            href.startswith("#")
            or urlsplit(href).scheme in {"https", "mailto"}
            or inside(href, "/org/model/blob/main/")
        )
        if "src" in attributes:
            assert inside(attributes["src"], "/org/model/resolve/main/")
        if tag == "a":
            assert attributes["rel"] == "nofollow noopener noreferrer"
        for name in ("colspan", "rowspan", "width", "height"):
            assert len(attributes.get(name, "")) <= 5
        assert not {"bar", "sticky"} & set(attributes.get("class", "").split())


def inside(address: str, start: str) -> bool:
    """Whether a browser takes the address for one below `start` on the same host."""
    odd = {"\\", "\t", "\n", "\r"} & set(address)
    return address.startswith(start) and not address.startswith("//") and not odd and ".." not in address.split("/")


def test_there_are_enough_of_them():
    assert len(HOSTILE) >= 40


@pytest.mark.parametrize(
    "html",
    [
        '<div align="center"><h2 id="x">a</h2></div>',
        '<details open=""><summary>a</summary>b</details>',
        "<p>H<sub>2</sub>O, x<sup>2</sup>, <kbd>Ctrl</kbd>, <mark>m</mark></p>",
        '<table><tbody><tr><td colspan="2" align="right">a</td></tr></tbody></table>',
        '<img src="/org/model/resolve/main/a%20b.png" alt="a" width="50%">',
        "<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>",
    ],
)
def test_harmless_html_stays(html):
    raw = html.replace("/org/model/resolve/main/", "")
    shown = render_markdown(f"<div>\n{raw}\n</div>", LINKS).html
    assert html in shown


def test_a_remote_picture_becomes_a_link_to_it():
    shown = render_markdown("![A chart](https://a.example/c.png)", LINKS).html
    assert 'href="https://a.example/c.png"' in shown
    assert "A chart" in shown
    assert "<img" not in shown


def test_a_remote_picture_in_a_link_becomes_the_text_of_the_link():
    shown = render_markdown("[![build](https://a.example/badge.svg)](https://b.example)", LINKS).html
    (link,) = [attributes for tag, attributes in Reader(shown).elements if tag == "a"]
    assert link["href"] == "https://b.example"
    assert ">build<" in shown


def test_a_remote_picture_without_a_text_is_named_after_its_file():
    assert ">chart.png<" in render_markdown("![](https://a.example/x/chart.png)", LINKS).html
