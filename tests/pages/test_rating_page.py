"""The rating page in a real browser, by keyboard alone: it keeps answers, keeps its place, and gives nobody away."""

import http.client
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hubtune.localhub.api.connection import Patience
from hubtune.localhub.server import served
from hubtune.pipeline.page_server import RatingApp
from hubtune.pipeline.rating import Done, report
from hubtune.records.ratings import RatingPair
from hubtune.records.rundir import RunDirectory
from tests.browser import Visit, visit
from tests.pages.hostile import HOSTILE
from tests.sample_ratings import FROM_TUNED, ratable_run, sample_pairs, session_of

PAIRS = 6


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return ratable_run(tmp_path / "run", sample_pairs(PAIRS))


@pytest.fixture
def serving() -> Iterator[Callable[..., str]]:
    """Serves a rater's page; gives its address."""
    with ExitStack() as stack:

        def serve(run: RunDirectory, rater: str = "ann") -> str:
            app = RatingApp(session_of(run, rater))
            return stack.enter_context(served(app, "127.0.0.1", 0, Patience())) + app.path

        yield serve


def press(seen: Visit, key: str) -> str:
    """Presses a key that leads to the next page; returns its heading."""
    with seen.page.expect_navigation():
        seen.page.keyboard.press(key)
    return seen.page.inner_text("h1")


def answers(run: RunDirectory, rater: str = "ann") -> list[str]:
    return [line.split('"answer":"')[1].split('"')[0] for line in (run.ratings_dir / f"{rater}.jsonl").open()]


def test_a_rater_answers_by_keyboard_reloads_undoes_and_finishes(run: RunDirectory, serving, browser):
    address = serving(run)
    with visit(browser, address) as seen:
        assert [press(seen, key) for key in ("1", "ArrowRight", "t")] == [f"Pair {n} of 6" for n in (2, 3, 4)]
        assert answers(run) == ["a", "b", "tie"]
        text = seen.page.inner_text("form")
        seen.page.reload()
        assert (seen.page.inner_text("h1"), seen.page.inner_text("form")) == ("Pair 4 of 6", text)
        assert press(seen, "u") == "Pair 3 of 6"
        assert [press(seen, key) for key in ("0", "ArrowLeft", "2", "1")][-1] == "All rated"
        assert answers(run) == ["a", "b", "tie", "undone", "tie", "a", "b", "a"]
        assert press(seen, "u") == "Pair 6 of 6"
        assert press(seen, "2") == "All rated"
        assert (seen.console, seen.failed) == ([], [])
    # Somebody else gets the same pairs, from the first on.
    with visit(browser, serving(run, "bob")) as seen:
        assert seen.page.inner_text("h1") == "Pair 1 of 6"
        press(seen, "1")
    assert (report(run).counts.raters, report(run).counts.answers) == (2, 7)


def test_the_buttons_are_reached_by_tab_show_where_the_focus_is_and_say_their_keys(run: RunDirectory, serving, browser):
    with visit(browser, serving(run)) as seen:
        press(seen, "1")
        found = []
        for _ in range(5):
            seen.page.keyboard.press("Tab")
            found.append(seen.page.evaluate("document.activeElement.innerText"))
            assert seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert found == [
            *("Skip to content", "A is better 1 ←", "Neither 0 T", "B is better 2 →", "Undo the last answer U")
        ]
        tree = seen.page.locator("main").aria_snapshot()
        for part in (
            'heading "Pair 2 of 6"',
            'region "Text A"',
            'region "Text B"',
            'button "A is better"',
            "progressbar",
        ):
            assert part in tree
        assert seen.page.get_attribute("button[value=a]", "aria-keyshortcuts") == "1 ArrowLeft"
        seen.page.focus("button[value=b]")
        assert press(seen, "Enter") == "Pair 3 of 6"
        assert answers(run) == ["a", "b"]


@pytest.mark.parametrize(("width", "scheme"), [("phone", "dark"), ("desktop", "light")])
def test_the_page_fits_and_comes_from_here_alone_in_light_and_dark(run, serving, browser, width: str, scheme: str):
    address = serving(run)
    with visit(browser, address, width=width, scheme=scheme) as seen:
        assert (seen.console, seen.failed, seen.overflow) == ([], [], 0)
        here = address.removesuffix(urlsplit(address).path)
        assert all(request.startswith(f"{here}/") for request in seen.requests)
        lightness = int(re.findall(r"\d+", seen.style("body", "backgroundColor"))[0])
        assert (lightness > 128) == (scheme == "light")


def test_without_scripts_the_buttons_do_the_same(run: RunDirectory, serving, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(serving(run))
    page.click("button[value=b]")
    assert page.inner_text("h1") == "Pair 2 of 6"
    context.close()
    assert answers(run) == ["b"]


def test_the_back_button_does_not_answer_for_a_pair_twice(run: RunDirectory, serving, browser):
    with visit(browser, serving(run)) as seen:
        press(seen, "1")
        seen.page.go_back()
        seen.page.wait_for_load_state()
        if seen.page.inner_text("h1") == "Pair 1 of 6":
            press(seen, "2")
        assert seen.page.inner_text("h1") == "Pair 2 of 6"
    assert answers(run) == ["a"]


def test_what_models_write_is_text_whatever_it_is(tmp_path: Path, serving, browser):
    """All at once: a script that ran, or a tag that was read as one, would show in the page or its console."""
    texts = [text for text in HOSTILE.values() if len(text) < 2000]
    hostile = "\n".join(texts).replace("\r", "") + "</div></form></main><button name=answer value=tie>\u202e\u0300" * 3
    run = ratable_run(tmp_path / "evil", [RatingPair(prompt=hostile, base=hostile, tuned=f"{hostile}!")])
    with visit(browser, serving(run), width="phone") as seen:
        assert seen.page.locator(".text").count() == 3
        assert seen.page.locator(".text *").count() == 0
        assert seen.page.locator("main button").count() == 3
        assert seen.page.locator("script").count() == 1
        shown = seen.page.locator(".text").first.evaluate("element => element.textContent")
        assert shown == hostile.replace("\0", "")
        assert (seen.console, seen.overflow) == ([], 0)
        assert all(request.startswith("http://127.0.0.1:") for request in seen.requests)


def ask(address: str, path: str | None = None, *, method: str = "GET", body: str = "", **headers: str):
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, parts.path if path is None else path, body or None, sent)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response, text


def test_nothing_that_the_browser_gets_says_whose_text_is_whose(tmp_path: Path, serving):
    """With the sides of every pair swapped, a rater's browser gets the same, but for the texts, down to the headers."""
    pairs = sample_pairs(PAIRS)
    swapped = [RatingPair(prompt=pair.prompt, base=pair.tuned, tuned=pair.base) for pair in pairs]
    seen = []
    for name, chosen in (("one", pairs), ("other", swapped)):
        run = ratable_run(tmp_path / name, chosen)
        address = serving(run)
        answered = []
        for number in range(PAIRS + 1):
            response, text = ask(address)
            headers = {key: value for key, value in response.getheaders() if key not in ("date", "content-length")}
            # What the texts say is the pair's own affair.
            masked = re.sub(r"The (oats|wheat) came from field", "TEXT", text.replace(urlsplit(address).path, "/PATH/"))
            answered.append((headers, masked))
            ask(address, method="POST", body=f"answered={number}&answer=a")
        assert not re.search("tuned|base", "".join(page for _, page in answered))
        seen.append(answered)
    assert seen[0] == seen[1]


def test_the_order_differs_from_rater_to_rater_and_shows_either_side_first_in_half_of_the_pairs(
    run: RunDirectory, serving
):
    first = []
    for rater in ("ann", "bob", "cleo"):
        session = session_of(run, rater)
        seen = []
        while not isinstance(trial := session.next(), Done):
            seen.append(trial)
            session.answer(trial.answered, "tie")
        assert sum(trial.a.startswith(FROM_TUNED) for trial in seen) == PAIRS // 2
        first.append([(trial.prompt, trial.a) for trial in seen])
    assert first[0] != first[1] != first[2] != first[0]


@pytest.mark.parametrize("path", ["/", "/wrong/", "/-/", "/-/none.js", "/../", "/%00/"])
def test_without_the_random_part_there_is_no_page(run: RunDirectory, serving, path: str):
    address = serving(run)
    for method, body in (("GET", ""), ("POST", "answered=0&answer=a")):
        response, text = ask(address, path, method=method, body=body)
        assert response.status == 404
        assert "mill" not in text
    assert not (run.ratings_dir / "ann.jsonl").exists()


def test_other_pages_other_names_and_other_requests_are_kept_out(run: RunDirectory, serving):
    address = serving(run)
    good = "answered=0&answer=a"
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        assert ask(address, method="POST", body=good, **headers)[0].status == 403
    assert ask(address, method="PUT", body=good)[0].status == 405
    assert ask(address, method="POST", body="x" * 2000)[0].status == 413
    for body in ("", "answered=0", "answered=0&answer=c", "answered=-1&answer=a", "answered=1e3&answer=a", "answer=a"):
        assert ask(address, method="POST", body=body)[0].status == 400, body
    assert not (run.ratings_dir / "ann.jsonl").exists()
    response, _ = ask(address)
    assert response.status == 200
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert (response.headers["cache-control"], response.headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_a_file_that_was_damaged_meanwhile_is_named_on_the_page(run: RunDirectory, serving):
    address = serving(run)
    (run.ratings_dir / "ann.jsonl").write_text("{}\n")

    response, text = ask(address)
    assert response.status == 500
    assert "ann.jsonl is not an answer" in text
