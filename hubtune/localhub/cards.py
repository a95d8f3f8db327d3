"""Derives from a card's metadata what the Hub shows beside a repository."""

from collections.abc import Mapping

from hubtune.localhub.ids import RepoType
from hubtune.metadata.front_matter import texts

_PLAIN = ("library_name", "pipeline_tag")
_PREFIXED = {"license": "license", "datasets": "dataset"}
_DATASET_PREFIXED = {
    "license": "license",
    "language": "language",
    "task_categories": "task_categories",
    "size_categories": "size_categories",
}


def card_tags(type_: RepoType, card: Mapping[str, object]) -> list[str]:
    """Returns the tags under which the Hub files a repository with this card."""
    prefixed = _DATASET_PREFIXED if type_ is RepoType.DATASET else _PREFIXED
    plain = ("tags",) if type_ is RepoType.DATASET else (*_PLAIN, "tags", "language")
    tags = [value for key in plain for value in texts(card, key)]
    tags += [f"{prefix}:{value}" for key, prefix in prefixed.items() for value in texts(card, key)]
    relation = card.get("base_model_relation")
    for base in texts(card, "base_model"):
        tags.append(f"base_model:{base}")
        if isinstance(relation, str):
            tags.append(f"base_model:{relation}:{base}")
    return list(dict.fromkeys(tags))
