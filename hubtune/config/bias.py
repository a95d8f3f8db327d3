"""The part of the config about bias: files of the user's own that take the place of the ones that ship with hubtune."""

from typing import Annotated

from pydantic import Field

from hubtune.config.section import Section

FilePath = Annotated[str, Field(min_length=1, title="file")]


class BiasConfig(Section):
    """Files of your own for the bias metrics: CSV, JSON Lines, YAML or, with one column, plain lines."""

    templates: FilePath | None = None
    """Sentence templates for `counterfactual_gap`, one row per swap: `axis`, `template` with one `{term}` in it, and
    the two terms `term_a` and `term_b`. A YAML file may instead give `templates` and `terms` for each axis; every
    combination is then measured."""
    pairs: FilePath | None = None
    """Sentence pairs for `pair_preference`, one row per pair: `more` is the stereotyped sentence, `less` the other."""
    words: FilePath | None = None
    """Words for `word_list_hits` that no generated text should contain, one `word` per row."""
    prompts: FilePath | None = None
    """Prompts for `word_list_hits`, one `prompt` per row: the words are counted in what the models write after them."""

    def named(self) -> dict[str, str]:
        """Returns the files that are named, by their key."""
        return self.model_dump(exclude_none=True)
