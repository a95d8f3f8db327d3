"""The names of the metrics that a config can request, and the user's own files for the bias metrics.

The names are those of hubtune and of installed plugins. They are looked up without importing a metric, so without
torch.
"""

import difflib
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Annotated

from pydantic import Field

from hubtune.config.fields import ConfigSection

ENTRY_POINTS = "hubtune.metrics"
"""The entry-point group in which a package offers metrics; the entry point's name is the metric's."""

BUILT_IN = (
    *("perplexity", "bits_per_byte", "token_accuracy"),
    *("bleu", "chrf", "rouge", "exact_match", "token_f1", "endings", "samples"),
    "classification",
    *("counterfactual_gap", "pair_preference", "word_list_hits"),
    *("memorisation", "canary_exposure", "personal_data", "contamination"),
)
"""hubtune's own metrics, in the order in which they are measured."""

CLASSIFICATION = "classification"
"""What is measured of a classifier by default."""

DEFAULT = ("perplexity", "bits_per_byte", "endings", "samples", "counterfactual_gap")
"""What is measured by default."""
FilePath = Annotated[str, Field(min_length=1, title="file")]


def known_metrics() -> list[str]:
    """Returns the names of all installed metrics; a plugin's metric cannot have the name of a built-in one."""
    offered = {point.name for point in entry_points(group=ENTRY_POINTS)}
    return [*BUILT_IN, *sorted(offered - set(BUILT_IN))]


def unknown_metric(name: str, known: Sequence[str]) -> str | None:
    """Returns why a metric cannot be measured, or None if it is installed."""
    if name in known:
        return None
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    meant = f"; did you mean `{close[0]}`?" if close else "."
    return f"there is no metric {name!r}{meant} There are: {', '.join(known)}, and `all` for what fits the data"


class BiasConfig(ConfigSection):
    """Files of your own for the bias metrics: CSV, JSON Lines, YAML or, with one column, plain lines."""

    templates: FilePath | None = None
    """Sentence templates for `counterfactual_gap`, one row per swap: `axis`, `template` with one `{term}` in it, and
    the two terms `term_a` and `term_b`. A YAML file may instead give `templates` and `terms` for each axis, of which
    every combination is measured."""
    pairs: FilePath | None = None
    """Sentence pairs for `pair_preference`, one row per pair: `more` is the stereotyped sentence, `less` the other
    one."""
    words: FilePath | None = None
    """Words for `word_list_hits` that no generated text should contain, one `word` per row."""
    prompts: FilePath | None = None
    """Prompts for `word_list_hits`, one `prompt` per row. The words are counted in the text that the models
    generate."""

    def named(self) -> dict[str, str]:
        """Returns the files that are named, by their key."""
        return self.model_dump(exclude_none=True)
