"""Cards, help pages, progress and documentation use the field's terms in American English, and no phrase that misleads.

The texts of errors have a test of their own, whose phrases are banned here too.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hubtune.cli.app import app
from hubtune.resources import templates_dir
from tests.test_error_texts import ALL, BANNED, SOURCES

ROOT = Path(__file__).parent.parent
# What no text for people says, with what it says in its place.
PHRASES = {
    **{
        pattern: term
        for pattern, term in BANNED.items()
        if term not in ("the thing itself", "one space", "one period", "no space before")
    },
    r"\bthe one\b[^.]*\bthe other\b": "both by name",
    r"\blearnt\b": "learned",
    r"\b(?:is|are|was|were) told\b": "reports",
    r"\bwhere (?:nothing|none|nobody|one|there (?:is|are))\b": "if, when",
    r"\blikeliest\b|\blikelier\b": "most likely, more likely",
    r"\bgreedily\b": "with greedy decoding",
    r"\bcarr(?:y|ies|ied) loss\b": "target tokens",
    r"\bnot to be relied on\b": "do not rely on",
    r"\bin (?:its|their) place\b": "instead",
    r"(?<=\d) %": "95%",
    r"\bdata sets?\b": "dataset",
    r"\bwarm-up\b": "warmup",
    r"\b(?:inside|within|beyond) the noise\b": "significant, not significant",
    r"\bare the least\b": "at least N are needed",
    r"\ball the same\b": "anyway",
    r"\bbe had\b": "is available",
    r"\blook(?:s|ed|ing)? (?:through|into)\b": "search, check",
    r"\bhas to be\b|\bhave to be\b": "must be",
    r"\bpictures?\b": "image, plot",
    r"\bbeside\b": "next to",
    r"\bspells? it\b": "as a license id of the Hub",
    r"\bgoes? on\b": "continue",
    r"\bto the bit\b|\bto the last bit\b": "bit-identical",
    r"\bstand(?:s|ing)? (?:beside|before|behind|below|above|among)\b": "is",
    r"\bthat (?:is|are) none\b": "that is not one",
    r"\bnobody can tell\b": "is ambiguous",
}
BRITISH = (
    r"\b(?:licences?|colou?r(?<!color)\w*|optimis(?!tic)\w+|memoris\w+|normalis\w+|recognis\w+|centred?|behaviours?"
    r"|dequantis\w+|quantised|favou?r(?<!favor)\w*|initialis\w+|tokenis\w+|labelled|organis\w+|summaris\w+|misspelt)\b"
)
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "config.md")]


def _templates() -> Iterator[tuple[str, str]]:
    for path in sorted(templates_dir().rglob("*.j2")):
        words = re.sub(r"\{%.*?%\}", " ", re.sub(r"\{\{.*?\}\}", "X", path.read_text()), flags=re.DOTALL)
        yield path.name, words


def _words_of(folder: str) -> Iterator[tuple[str, str]]:
    """Yields the texts in the code of a package: what has a space and is not a docstring."""
    for path in sorted((SOURCES / folder).rglob("*.py")):
        tree = ast.parse(path.read_text())
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docstrings = {
            node.body[0].value
            for node in ast.walk(tree)
            if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
        }
        docstrings |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings
            if text and " " in node.value.strip():
                yield f"{path.name}:{node.lineno}", node.value


def _progress() -> Iterator[tuple[str, str]]:
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            said = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
            if not said or node.func.attr not in ("say", "warn", "task"):
                continue
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield f"{path.name}:{part.lineno}", part.value


def _help(command: click.Command = app, name: str = "hubtune") -> Iterator[tuple[str, str]]:
    yield name, command.help or ""
    yield name, command.short_help or ""
    yield from ((name, option.help or "") for option in command.params if isinstance(option, click.Option))
    if isinstance(command, click.Group):
        for below, found in command.commands.items():
            yield from _help(found, f"{name} {below}")


def _pages() -> Iterator[tuple[str, str]]:
    for path in PAGES:
        words = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        words = re.sub(r"^    .*$", "", words, flags=re.MULTILINE)
        for number, paragraph in enumerate(re.sub(r"``?[^`]*``?", "X", words).split("\n\n"), 1):
            yield f"{path.name}, paragraph {number}", " ".join(paragraph.split())


TEXTS = {
    "templates": list(_templates()),
    "card": [*_words_of("card/sections"), *_words_of("card/licensing")],
    "progress": list(_progress()),
    "help": list(_help()),
    "documentation": list(_pages()),
}


def _found(kind: str, pattern: str) -> list[str]:
    # A NOTICE is compared with published ones byte for byte, so its words stay.
    texts = ((place, text) for place, text in TEXTS[kind] if not place.startswith("legal_files.py"))
    return [
        f"{place}: …{text[max(0, hit.start() - 40) : hit.end() + 40]}…"
        for place, text in texts
        for hit in re.finditer(pattern, text)
    ]


@pytest.mark.parametrize("kind", TEXTS)
def test_there_are_texts_of_each_kind(kind: str) -> None:
    assert len(TEXTS[kind]) > 20


@pytest.mark.parametrize("pattern", PHRASES)
@pytest.mark.parametrize("kind", TEXTS)
def test_no_text_has_a_phrase_that_needs_a_second_reading(kind: str, pattern: str) -> None:
    found = _found(kind, pattern)
    assert not found, f"say {PHRASES[pattern]!r} instead:\n" + "\n".join(found)


def test_every_error_is_in_american_spelling() -> None:
    found = [f"{text.place}: {text.text}" for text in ALL if re.search(BRITISH, text.text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("kind", TEXTS)
def test_every_text_is_in_american_spelling(kind: str) -> None:
    found = _found(kind, BRITISH)
    assert not found, "\n".join(found)
