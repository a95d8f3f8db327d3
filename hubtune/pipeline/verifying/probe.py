"""Asks the published model what the probe recorded, and compares."""

import math
from typing import TYPE_CHECKING

from hubtune.pipeline.verifying.outcome import ContradictedError, refuse
from hubtune.pipeline.verifying.subject import Subject
from hubtune.records.probe import ProbePrompt, ProbeRecord

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hubtune.pipeline.verifying.model import Loaded

# More tokens than any probe has, and few enough to feed to a model.
_MOST_PROMPTS, _MOST_TOKENS = 64, 4096


def check_probe(subject: Subject, loaded: "Loaded") -> str:
    """Replays the probe on the release, and on its base, which has to answer otherwise by what is recorded."""
    from hubtune.models.load import context_length
    from hubtune.models.probe import TOLERANCES, replay

    record = subject.documents.need(ProbeRecord)
    if record.precision not in TOLERANCES:
        raise ContradictedError(f"it is of the precision {record.precision}, which no release of hubtune has")
    prompts = record.prompts
    if len(prompts) > _MOST_PROMPTS:
        raise ContradictedError(f"it has {len(prompts)} prompts, more than any release of hubtune")
    refuse([fault for prompt in prompts if (fault := _malformed(prompt))])
    context = context_length(loaded.base or subject.folder, subject.repo)
    refuse(
        [f"the tokenizer reads {prompt.text!r} otherwise" for prompt in prompts if not _same(loaded, prompt, context)]
    )
    limit = TOLERANCES[record.precision]
    if 0 < record.tolerance < limit:
        limit = record.tolerance
    found = replay(loaded.model, prompts)
    if not max(found.difference, found.shortfall) <= limit:
        raise ContradictedError(
            f"logits are up to {found.difference:.4g} away from the recorded ones, and {limit:g} is what arithmetic in "
            f"{record.precision} explains; recorded tokens are up to {found.shortfall:.4g} from being the likeliest"
        )
    answer = f"{len(prompts)} prompts, logits at most {found.difference:.2g} apart ({limit:g} allowed)"
    return f"{answer}; {_tuning(record, loaded, limit)}"


def _tuning(record: ProbeRecord, loaded: "Loaded", limit: float) -> str:
    """Says what the adapter does to the answers, measured."""
    from hubtune.models.classifier import classifies
    from hubtune.models.probe import replay

    if classifies(loaded.model):
        return "what tuning changed cannot be seen, since the base has no head that classifies"
    if loaded.base is None:
        return "what tuning changed cannot be seen from merged weights"
    with loaded.model.disable_adapter():
        acts = replay(loaded.model, record.prompts).difference
    if record.difference is None or not abs(acts - record.difference) <= 2 * limit:
        raise ContradictedError(
            f"without the adapter the logits are {acts:.4g} away, and the record says {record.difference}"
        )
    if acts <= limit:
        return f"the adapter changes them by {acts:.2g} only, so they cannot tell the release from its base model"
    return f"without the adapter they are {acts:.2g} away"


def _malformed(prompt: ProbePrompt) -> str | None:
    rows = len(prompt.tokens)
    shapes = [len(ids) == len(values) > 0 for ids, values in zip(prompt.likeliest, prompt.logits, strict=False)]
    ids = [*prompt.input_ids, *prompt.tokens, *(one for row in prompt.likeliest for one in row)]
    if len(prompt.likeliest) != rows or len(prompt.logits) != rows or not all(shapes):
        return f"the answer to {prompt.text!r} has tokens without logits"
    if min(ids) < 0 or len(prompt.input_ids) + rows > _MOST_TOKENS:
        return f"the answer to {prompt.text!r} has ids that no tokenizer gives"
    if not all(math.isfinite(value) for row in prompt.logits for value in row):
        return f"the answer to {prompt.text!r} has logits that are not numbers"
    return None


def _same(loaded: "Loaded", prompt: ProbePrompt, context: int | None) -> bool:
    from hubtune.models.probe import encode_prompt

    tokenizer: PreTrainedTokenizerBase = loaded.tokenizer
    return encode_prompt(tokenizer, prompt.text, context) == prompt.input_ids
