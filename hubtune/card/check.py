"""Checks a finished card: what must hold before anything is uploaded."""

import re

from hubtune.card.frontmatter import read_front_matter, split_card
from hubtune.card.markdown import without_code_blocks
from hubtune.card.metadata import CardMetadata
from hubtune.card.outline import SECTIONS
from hubtune.card.placeholders import find_placeholders, is_placeholder_id
from hubtune.errors import CardError

REQUIRED_SECTIONS = tuple(section.title for section in SECTIONS)
MOST_CHARACTERS = 200_000
"""No more of a card is rendered on a page; see `hubtune.pages.markdown`."""
_HEADING = re.compile(r"^(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")


def check_card(text: str) -> None:
    """Checks the whole text of a card.

    Raises:
        CardError: The front matter cannot be read, has an unknown key or a wrong value; there are placeholders; a
            section is missing or empty. The details name every fault.
    """
    if len(text) > MOST_CHARACTERS:
        raise CardError(
            f"The model card has {len(text):,} characters, and {MOST_CHARACTERS:,} are the most that pages show.",
            hint="Shorten the statements in the config's card section, or the names that the data sets use.",
        )
    metadata, faults = read_front_matter(text)
    if metadata is not None:
        faults += _metadata_placeholders(metadata)
    body = split_card(text)[1]
    sections = _sections(body)
    for title, content in sections:
        faults += [f"section {title}: placeholder {found!r}" for found in find_placeholders(content)]
    present = {title for title, _ in sections}
    faults += [f"section {title}: missing" for title in REQUIRED_SECTIONS if title not in present]
    faults += [f"section {title}: empty" for title, content in sections if title and not content.strip()]
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise CardError(f"The model card is not valid: {count}.", details=faults)


def _metadata_placeholders(metadata: CardMetadata) -> list[str]:
    ids = {"base_model": [metadata.base_model], "datasets": metadata.datasets}
    faults = [
        f"front matter: {key}: {repo!r} is an example's name"
        for key, repos in ids.items()
        for repo in repos
        if is_placeholder_id(repo)
    ]
    texts = {"license_name": metadata.license_name, "license_link": metadata.license_link}
    return faults + [
        f"front matter: {key}: placeholder {found!r}"
        for key, value in texts.items()
        for found in find_placeholders(value or "")
    ]


def _sections(body: str) -> list[tuple[str, str]]:
    """Returns title and content of each section of level 1 and 2; what comes before the first has no title.

    A section's deeper headings count as its content only with text below them, since a heading alone says nothing.
    """
    visible = without_code_blocks(body).split("\n")
    sections: list[tuple[str, list[str]]] = [("", [])]
    for shown, line in zip(visible, body.split("\n"), strict=True):
        heading = _HEADING.match(shown)
        if heading is None:
            sections[-1][1].append(line)
        elif len(heading[1]) <= 2:
            sections.append((heading[2], []))
    return [(title, "\n".join(lines)) for title, lines in sections]
