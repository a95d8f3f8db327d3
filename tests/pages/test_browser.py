"""The pages in a real browser: nothing from elsewhere, nothing wrong, nothing too wide, readable in light and dark."""

import pytest

from hubtune.pages.html import RepoLinks, render_markdown
from tests.browser import visit
from tests.pages.hostile import HOSTILE

PAGES = [
    "/",
    "/?search=nothing-has-this-name",
    "/org/quotes-lora",
    "/datasets/org/quotes",
    "/org/quotes-lora/tree/main",
    "/org/quotes-lora/tree/feature%2Fx/charts",
    "/org/quotes-lora/blob/main/README.md",
    "/org/quotes-lora/blob/main/README.md?plain=1",
    "/org/quotes-lora/blob/main/rows.jsonl",
    "/org/quotes-lora/blob/main/model.safetensors",
    "/org/quotes-lora/blob/main/charts/loss.png",
    "/org/quotes-lora/commits/main",
    "/org/quotes-lora/commit/{commit}",
    "/org/quotes-lora/refs/all",
]


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        ("desktop", "light"),
        ("phone", "dark"),
        pytest.param("desktop", "dark", marks=pytest.mark.full_trial),
        pytest.param("phone", "light", marks=pytest.mark.full_trial),
    ],
)
def test_every_page_loads_whole_from_the_hub_alone_and_fits(shown, browser, picked, width, scheme):
    # What fits a phone fits a desktop, where a sample is enough.
    for path in PAGES if width == "phone" else picked(PAGES, 5):
        address = shown.hub.url + path.format(commit=shown.commit)
        with visit(browser, address, width=width, scheme=scheme) as seen:
            assert seen.console == [], path
            assert seen.failed == [], path
            assert seen.requests, path
            assert all(request.startswith(shown.hub.url + "/") for request in seen.requests), path
            assert seen.overflow <= 0, path


def test_an_error_is_a_page_too(shown, browser):
    for path in ("/org/none", "/org/quotes-lora/blob/main/none", "/org/quotes-lora/tree/none", "/no/such/page/at/all"):
        with visit(browser, shown.hub.url + path) as seen:
            assert seen.page.inner_text("h1") == "Not found"
            assert seen.overflow <= 0


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(shown, browser, scheme):
    """The ratio that WCAG 2.2 asks for, 4.5 to 1."""
    with visit(browser, f"{shown.hub.url}/org/quotes-lora", scheme=scheme) as seen:
        assert (luminance(seen.style("body", "backgroundColor")) > 0.5) == (scheme == "light")
        for below, selectors in {
            "body": ("body", ".prose a[href]", ".panel dt", ".panel h2", ".bar nav a", "footer"),
            ".repo-head": (".repo-id", ".tabs a"),
            ".prose pre": (".hl-kn", ".hl-s2", ".hl-mi", ".hl-c1"),
            ".markdown-alert": (".markdown-alert", ".markdown-alert-title"),
        }.items():
            ground = luminance(seen.style(below, "backgroundColor"))
            for selector in selectors:
                text = luminance(seen.style(selector, "color"))
                assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) >= 4.5, selector


def test_lines_of_text_are_not_too_long_to_read(shown, browser):
    with visit(browser, f"{shown.hub.url}/org/quotes-lora") as seen:
        assert float(seen.style(".prose > p", "width").removesuffix("px")) <= 50 * 16


def test_pictures_of_the_repository_are_shown(shown, browser):
    with visit(browser, f"{shown.hub.url}/org/quotes-lora") as seen:
        assert seen.page.evaluate("document.querySelector('.prose img').naturalWidth") == 64


def test_a_visitor_finds_the_way_by_links_alone(shown, browser):
    with visit(browser, f"{shown.hub.url}/") as seen:
        seen.page.fill("input[name=search]", "lora")
        seen.page.press("input[name=search]", "Enter")
        seen.page.click("text=quotes-lora")
        assert seen.page.inner_text(".prose h1") == "Quotes"
        seen.page.click(".tabs >> text=Files")
        seen.page.click("text=docs")
        seen.page.click("text=more.md")
        seen.page.click("text=back")
        assert seen.page.url == f"{shown.hub.url}/org/quotes-lora/blob/main/README.md"
        seen.page.click("text=Source")
        assert "license: apache-2.0" in seen.page.inner_text("pre.lines")
        seen.page.click(".tabs >> text=History")
        assert seen.page.locator(".commits li").count() == 2
        seen.page.click(".tabs >> text=Branches and tags")
        seen.page.click("a >> text=feature/x")
        assert seen.page.url == f"{shown.hub.url}/org/quotes-lora/tree/feature%2Fx"


SMALL = {name: text for name, text in HOSTILE.items() if len(text) < 2000}
FORBIDDEN = (
    "script, style, iframe, form, input, textarea, select, svg, math, object, embed, base, link, meta, video, audio"
)
CLEAN = """where => [...document.querySelectorAll(where + ' *')].every(e => [...e.attributes].every(
    a => !a.name.startsWith('on') && a.name != 'style' && a.name != 'srcset'))"""


def test_hostile_markdown_does_nothing_in_a_browser_even_without_a_policy(served, browser):
    served.commit("org/model", {"LICENSE": b"x"})
    parts = [
        f"<section>{render_markdown(text, RepoLinks('/org/model', 'main')).html}</section>" for text in SMALL.values()
    ]
    with visit(browser, f"{served.url}/-/style.css") as seen:
        seen.page.set_content("<main>" + "".join(parts) + "</main><footer></footer>", wait_until="load")
        assert seen.page.locator("main > section").count() == len(parts)
        assert seen.page.locator("body > footer").count() == 1
        assert seen.page.locator(f"main :is({FORBIDDEN})").count() == 0
        assert seen.page.evaluate(CLEAN, "main")
        # Pictures of a repository that is not there are all that is asked for, and all that the console tells of.
        assert all(request.startswith(f"{served.url}/org/model/resolve/main/") for request in seen.requests[1:])
        assert [line for line in seen.console if not line.startswith("Failed to load resource")] == []


def test_hostile_cards_do_nothing_on_the_hub(served, browser, picked):
    """Each in a file of its own."""
    texts = picked(list(SMALL.items()), 5)
    served.commit("org/evil", {f"{n}.md": text.encode() for n, (_, text) in enumerate(texts)})
    for n, (name, _) in enumerate(texts):
        with visit(browser, f"{served.url}/org/evil/blob/main/{n}.md") as seen:
            asked = {request.removeprefix(served.url) for request in seen.requests if "/resolve/" not in request}
            assert asked - {"/-/icon.svg"} == {f"/org/evil/blob/main/{n}.md", "/-/style.css"}, name
            assert all("404" in line for line in seen.console), name
            assert seen.page.locator(f".prose :is({FORBIDDEN})").count() == 0, name
            assert seen.page.evaluate(CLEAN, ".prose"), name
            assert seen.page.locator("body > footer").count() == 1, name
