"""GitHub-flavored Markdown as people write it in cards, and as nobody should."""

import re
from html import unescape

import pytest

from hubtune.pages.html import LANGUAGES, LONGEST, RepoLinks, render_markdown

LINKS = RepoLinks("/org/model", "v1.0")


def html(text: str, links: RepoLinks = LINKS) -> str:
    return render_markdown(text, links).html


def test_a_table_with_its_alignment():
    shown = html("| a | b |\n|:-:|--:|\n| 1 | 2 |")
    assert '<th align="center">a</th>' in shown
    assert '<td align="right">2</td>' in shown
    assert "style=" not in shown


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("~~gone~~", "<s>gone</s>"),
        ("see https://a.example/x.", '<a href="https://a.example/x"'),
        ("see www.a.example now", '<a href="http://www.a.example"'),
        ("- [x] done", '<span class="task done">☑</span> done'),
        ("- [ ] open", '<span class="task">☐</span> open'),
        ("```text\nx < y\n```", '<pre><code class="language-text">x &lt; y\n</code></pre>'),
        ("```python\nx = 'a<b'\n```", "<span class=\"hl-s1\">'a&lt;b'</span>"),
        ("> [!WARNING]\n> hot", '<div class="markdown-alert markdown-alert-warning">'),
        ("a[^1]\n\n[^1]: b", '<section class="footnotes">'),
        ("1. a\n2. b", "<ol>"),
    ],
)
def test_github_flavour(text, part):
    assert part in html(text)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_coloured_code_keeps_every_character(language):
    code = "\n\n<b> = 'x' # \"y\" & {1: [2]}\n\n  - z: $a\n"
    shown = html(f"```{language}\n{code}```")
    assert unescape(re.sub("<[^>]*>", "", shown)).rstrip("\n") == code.rstrip("\n")


def test_code_beyond_bounds_stays_plain():
    assert "hl-" not in html(f"```python\n{'x = 1' * 1000}\n```")
    many = html("```python\nx = 1\n```\n" * 8000)
    assert 0 < many.count("hl-n") < 8000


def test_headings_get_the_anchors_that_github_gives():
    shown = html("# Intended Use & `limits`\n\n## Same\n\n## Same\n\n### Größe: 5 %")
    for anchor in ("intended-use--limits", "same", "same-1", "größe-5-"):
        assert f'id="{anchor}"' in shown


@pytest.mark.parametrize(
    ("address", "leads_to"),
    [
        ("LICENSE", "/org/model/blob/v1.0/LICENSE"),
        ("./docs/use.md#setup", "/org/model/blob/v1.0/docs/use.md#setup"),
        ("docs/../LICENSE", "/org/model/blob/v1.0/LICENSE"),
        ("<a b.txt>", "/org/model/blob/v1.0/a%20b.txt"),
        ("what%3F.txt", "/org/model/blob/v1.0/what%3F.txt"),
        ("#use", "#use"),
        ("/datasets/org/data", "/datasets/org/data"),
        ("https://a.example/?q=1", "https://a.example/?q=1"),
        ("mailto:a@a.example", "mailto:a@a.example"),
    ],
)
def test_links_lead_to_the_revision_that_is_shown(address, leads_to):
    assert f'href="{leads_to}"' in html(f"[text]({address})")


def test_links_of_a_file_in_a_folder_start_there():
    links = RepoLinks.of_file("/datasets/org/data", "feature/x", "docs/use.md")
    assert 'href="/datasets/org/data/blob/feature%2Fx/docs/more.md"' in html("[a](more.md)", links)
    assert 'href="/datasets/org/data/blob/feature%2Fx/LICENSE"' in html("[a](../LICENSE)", links)
    assert 'src="/datasets/org/data/resolve/feature%2Fx/docs/a.png"' in html("![a](a.png)", links)


@pytest.mark.parametrize("address", ["../other", "docs/../../other", "..", "?x=1"])
def test_what_leaves_the_repository_leads_nowhere(address):
    assert "href" not in html(f"[text](<{address}>)")


def test_a_very_long_text_is_cut_with_a_note():
    shown = render_markdown("word " * LONGEST, LINKS)
    assert len(shown.html) <= LONGEST + 100
    assert "long" in shown.note
    assert render_markdown("word", LINKS).note is None


@pytest.mark.parametrize(
    "piece",
    [
        "[", "![", "[a](", "*a ", "*a _b ", "~~a ", "`", "<", "<a ", "<b>", "<div>\n\n", "<!--", "<?", "&", "&amp;",
        ">", "- ", "|", "|a|b|\n|-|-|\n", "www.", "http://", "a@", "[^1]", "\\", "# a\n", "a\n", "```\n", "- [ ] a\n",
        "> [!NOTE]\n\n", "<table><tr><td>", "<b><p>", "<font>",
    ],
)  # fmt: skip
def test_no_piece_repeated_without_end_hangs(piece, trials):
    length = trials(LONGEST // 8, LONGEST)
    shown = render_markdown(piece * (length // len(piece)), LINKS)
    assert len(shown.html) < 20 * length


def test_very_many_brackets_are_shown_as_text_with_a_note():
    shown = render_markdown("[a](b) " * 21_000, LINKS)
    assert "<a " not in shown.html
    assert "[a](b)" in shown.html
    assert "brackets" in shown.note
