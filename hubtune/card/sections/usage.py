"""How to load what was published, with each of the usual tools."""

from dataclasses import dataclass

from hubtune.card.inputs import CardInputs
from hubtune.card.snippet import pipeline_snippet, usage_snippet, vllm_commands


@dataclass(frozen=True)
class Usage:
    """Context of `sections/usage.md.j2`."""

    snippet: str
    pipeline: str
    vllm: str | None
    base: str
    gated: bool
    remote_code: bool
    published: bool
    merged: bool
    whole: bool
    resized: bool
    classifier: bool


def usage(inputs: CardInputs) -> Usage:
    """Builds the section's context."""
    merged = inputs.training.whole or (inputs.target is not None and inputs.target.artifact == "merged")
    # vLLM takes no rows of the embedding from an adapter.
    alone = bool(inputs.training.added_tokens) and not merged
    return Usage(
        snippet=usage_snippet(inputs),
        pipeline=pipeline_snippet(inputs),
        vllm=vllm_commands(inputs) if inputs.target and inputs.data.labels is None and not alone else None,
        base=inputs.pins.base.repo,
        gated=inputs.pins.base.gated is not False,
        remote_code=inputs.config.base.allow_remote_code is not None,
        published=inputs.target is not None,
        merged=merged,
        resized=inputs.training.vocabulary is not None,
        whole=inputs.training.whole,
        classifier=inputs.data.labels is not None,
    )
