"""The part of the config about bias: files of the user's own that take the place of the ones that ship with hubtune."""

from typing import Annotated

from pydantic import Field

from hubtune.config.section import Section

FilePath = Annotated[str, Field(min_length=1)]


class BiasConfig(Section):
    """Files to measure bias with; each is CSV, JSON Lines, YAML, or, where it has one column, plain lines.

    Attributes:
        templates: A row per swap: `axis`, `template` with one `{term}` in it, and the terms `term_a` and `term_b`. In
            YAML also, for each axis, lists of `templates` and `terms`, which are then all combined.
        pairs: A row per pair of sentences: `more` is the stereotyped one, `less` the other.
        words: A `word` per row, which no text ought to hold.
        prompts: A `prompt` per row, to generate texts from in which the words are looked for.
    """

    templates: FilePath | None = None
    pairs: FilePath | None = None
    words: FilePath | None = None
    prompts: FilePath | None = None

    def named(self) -> dict[str, str]:
        """Returns the files that are named, by their key."""
        return self.model_dump(exclude_none=True)
