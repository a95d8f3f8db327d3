"""Writes and reads the card's front matter, and makes sure that what is written reads back as the same."""

import difflib
import re

import yaml
from pydantic import ValidationError

from hubtune.card.metadata import CardMetadata
from hubtune.documents import UnreadableError, load_yaml
from hubtune.errors import CardError
from hubtune.validation import faults_of

_BLOCK = re.compile(r"\A---\n(?P<yaml>.*?)\n---\n(?P<body>.*)\Z", re.DOTALL)
# The Hub reads YAML 1.2, where 12e34 and 0o17 are numbers; PyYAML writes 1.1, where they are strings and go unquoted.
# A commit of digits and one "e" is such a text.
_NUMBER_LIKE = re.compile(r"^[-+.]?\d")
_NEEDS_ESCAPES = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class _Dumper(yaml.SafeDumper):
    """The safe dumper, with quotes wherever a reader of YAML 1.2 would need them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's own
        super().increase_indent(flow, False)


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if _NEEDS_ESCAPES.search(value) else "'" if _NUMBER_LIKE.match(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _string)


def dump_front_matter(metadata: CardMetadata) -> str:
    """Returns the metadata as a YAML block between lines of `---`.

    Raises:
        CardError: The text does not read back as the same metadata.
    """
    content = metadata.model_dump(mode="json", by_alias=True, exclude_none=True)
    block = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    front = f"---\n{block}---\n"
    back, faults = read_front_matter(front)
    if back != metadata:
        raise CardError(
            "The card's metadata does not read back as it was written.",
            details=faults,
            hint="Leave odd characters out of the names and statements in the config's `card` section.",
        )
    return front


def split_card(card: str) -> tuple[str | None, str]:
    """Returns the card's YAML, None where it has none, and its Markdown."""
    match = _BLOCK.match(card.replace("\r\n", "\n"))
    return (match["yaml"], match["body"]) if match else (None, card)


def read_front_matter(card: str) -> tuple[CardMetadata | None, list[str]]:
    """Returns the card's metadata and what is wrong with it; the metadata is None if anything is."""
    block, _ = split_card(card)
    if block is None:
        return None, ["front matter: there is none; begin the card with metadata between two lines of ---"]
    try:
        loaded = load_yaml(block)
    except UnreadableError as error:
        return None, [f"front matter: it {error}"]
    try:
        return CardMetadata.model_validate(loaded.value if loaded else None), []
    except ValidationError as error:
        return None, explain_metadata(error)


def explain_metadata(error: ValidationError) -> list[str]:
    """Returns one line for each fault of the metadata, with the key's path and what it may have meant."""
    known = [field.alias or name for name, field in CardMetadata.model_fields.items()]
    lines = []
    for fault in faults_of(error):
        close = difflib.get_close_matches(fault.path, known, n=1) if fault.kind == "extra_forbidden" else []
        lines.append(f"front matter: {fault}{f'; did you mean {close[0]}?' if close else ''}")
    return lines
