"""Keys of the metadata that nobody knows."""

import difflib
from collections.abc import Iterator

from hubtune.card.lint.card import Card
from hubtune.card.lint.registry import Hit, rule

# Those that the Hub's documentation of model and data set cards names, and those that its libraries write.
KNOWN_KEYS = frozenset(
    {
        *("annotations_creators", "arxiv", "base_model", "base_model_relation", "co2_eq_emissions", "configs"),
        *("dataset_info", "datasets", "doi", "eval_results", "extra_gated_button_content", "extra_gated_description"),
        *("extra_gated_eu_disallowed", "extra_gated_fields", "extra_gated_heading", "extra_gated_prompt"),
        *("inference", "instance_prompt", "language", "language_bcp47", "language_creators", "language_details"),
        *("library_name", "license", "license_details", "license_link", "license_name", "mask_token", "metrics"),
        *("model-index", "model_creator", "model_name", "model_type", "multilinguality", "new_version"),
        *("paperswithcode_id", "pipeline_tag", "pretty_name", "prompt_template", "quantized_by", "size_categories"),
        *("source_datasets", "tags", "task_categories", "task_ids", "thumbnail", "train-eval-index", "viewer"),
        *("widget", "co2_emissions", "extra_gated_geo", "datasets_info", "sdk", "title"),
    }
)


@rule("unknown-key", "warning")
def unknown_key(card: Card) -> Iterator[Hit]:
    """The Hub knows every key of the metadata."""
    for key in card.data:
        if key not in KNOWN_KEYS:
            close = difflib.get_close_matches(key.lower().replace(" ", "_")[:60], KNOWN_KEYS, n=1, cutoff=0.75)
            meant = f"; did you mean `{close[0]}`?" if close else ", so nothing reads it"
            yield Hit(card.line(key), f"the Hub has no key `{key}`{meant}")
