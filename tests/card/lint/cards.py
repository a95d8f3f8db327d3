"""For each rule of the lint a card that breaks it and one that keeps it, as little apart as can be."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hubtune.card.lint import CardSource
from hubtune.records.base import LicensedInput, RepoType

COMMIT = "3e24f6ff5b2b0a5d9a1c2e8f7d6c5b4a39281706"
FRONT = """license: mit
library_name: peft
pipeline_tag: text-generation
base_model: org/base
datasets: [org/quotes]
language: en
tags: [lora]
metrics: [perplexity]
"""
INDEX = f"""model-index:
- name: quotes
  results:
  - task: {{type: text-generation}}
    dataset: {{type: org/quotes, name: Quotes, revision: {COMMIT}}}
    metrics:
    - {{type: perplexity, value: 27.4035}}
"""
BODY = """# Quotes

An adapter that writes quotes.

## Intended use

Writing prompts.

## How to use

Load it with peft.

## Training data

Quotes of the public domain.

## Evaluation

| Measure | Base | Tuned |
|---|---|---|
| Perplexity | 38.21 | 27.40 |

## Limitations

It invents quotes.
"""
DATA_FRONT = "license: cc0-1.0\npretty_name: Quotes\ntask_categories: [text-generation]\n"
DATA_BODY = """# Quotes

## Uses

Training.

## Structure

One column.

## Source

Books.

## Limitations

All are old.
"""
APACHE = "                                 Apache License\n                           Version 2.0, January 2004\n"
MIT = "MIT License\n\nCopyright (c) 2026 org\n\nPermission is hereby granted, free of charge, to any person obtaining\n"
LLAMA = LicensedInput(
    kind="base", repo="org/base", commit=COMMIT, licenses=["llama3.2"], files={"LICENSE.txt": "99" * 32}
)


@dataclass(frozen=True)
class Example:
    """A card with its surroundings; `line` is where the finding has to be, if there is to be one."""

    text: str
    line: int | None = None
    source: CardSource = field(default_factory=lambda: CardSource(b""))

    def given(self) -> CardSource:
        """The source with the text in it."""
        return replace(self.source, content=self.source.content or self.text.encode(errors="surrogatepass"))


def card(front: str = FRONT + INDEX, body: str = BODY) -> str:
    return f"---\n{front}---\n{body}"


def front(old: str, new: str, *, kind: RepoType = "model", inside: str = FRONT + INDEX) -> Example:
    """The good card with something else in its metadata, which has to be found where it is."""
    assert old in inside, old
    changed = inside.replace(old, new, 1)
    text = card(changed) if kind == "model" else card(changed, DATA_BODY)
    first = new.partition("\n")[0]
    return Example(text, _line_of(text, first) if first else None, CardSource(b"", kind))


def added(line: str, *, kind: RepoType = "model") -> Example:
    """The good card with a key more."""
    text = card(f"{FRONT}{line}\n") if kind == "model" else card(f"{DATA_FRONT}{line}\n", DATA_BODY)
    return Example(text, _line_of(text, line.partition("\n")[0]), CardSource(b"", kind))


def body(more: str, at: str | None = None, **source: object) -> Example:
    """The good card with more text at its end; the finding has to be on the line that holds `at`."""
    text = card(body=f"{BODY}\n{more}\n")
    return Example(text, _line_of(text, at or more.partition("\n")[0]), CardSource(b"", **source))  # type: ignore[arg-type]


def plain(more: str, at: str | None = None) -> Example:
    """A card without any evaluation, and with some text."""
    start = BODY.index("## Evaluation")
    text = card(FRONT, BODY[:start] + BODY[BODY.index("## Limitations") :] + f"\n{more}\n")
    return Example(text, _line_of(text, at or more.partition("\n")[0]))


def beside(example: Example, **source: object) -> Example:
    """The same card with other surroundings."""
    return replace(example, source=replace(example.source, **source))  # type: ignore[arg-type]


def files(*names: str) -> Callable[[str], bool]:
    return lambda path: path in names


def _line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.split("\n"), 1) if part in line)


GOOD = Example(card())
GOOD_DATA = Example(card(DATA_FRONT, DATA_BODY), source=CardSource(b"", "dataset"))
STATED_LICENSE = 2
BASE_LINE = 5
