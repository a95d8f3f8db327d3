"""Makes the pairs that raters compare: what the base model and the tuned one write after the same held-out prompts."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.data.tokens import Example
from hubtune.errors import DataError, EmptySplitError
from hubtune.evaluate.begun import prompt_end
from hubtune.evaluate.bench import Bench
from hubtune.evaluate.sides import open_sides
from hubtune.models.environment import environment
from hubtune.models.generation import MAX_NEW_TOKENS, safe_generation_config, stop_tokens_beside
from hubtune.models.load import context_length
from hubtune.records.progress import Progress
from hubtune.records.ratings import Pair, PairsRecord
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_Prompt = tuple[int, ...]


def make_pairs(
    run: RunDirectory,
    config: TuneConfig,
    base_folder: Path,
    tokenizer: "PreTrainedTokenizerBase",
    training: TrainingRecord,
    held_out: Sequence[Example],
    count: int,
    progress: Progress,
) -> PairsRecord:
    """Has both models write after up to `count` prompts, with the settings that the release is published with.

    A prompt is what stands before a row's response, or the first half of a row that is all response. Decoding is
    greedy, so the same run gives the same pairs.

    Returns:
        The pairs; the upstream digests are those of the run directory now.

    Raises:
        EmptySplitError: No rows are held out.
        DataError: None of them leaves room to write.
        ModelError: The base model or the adapter cannot be loaded.
    """
    if not held_out:
        raise EmptySplitError(
            f"The run in {run.path} holds out no rows, so there is nothing to ask the models.",
            hint="Hold out some with evaluate.holdout, and train again.",
        )
    name, seed = config.base.repo, config.evaluate.seed
    context = context_length(base_folder, name)
    ends = stop_tokens_beside(run.trained_dir(training))
    settings = safe_generation_config(base_folder, tokenizer, name, template=config.chat_template, ends=ends)
    limit = settings.max_new_tokens or MAX_NEW_TOKENS
    prompts, too_long = _choose(held_out, count, seed, name, context=context, limit=limit)
    bench = Bench(
        sides=open_sides(run, training, base_folder, name),
        tokenizer=tokenizer,
        held_out=held_out,
        train=(),
        generation=settings,
        context=context,
        batch_size=config.evaluate.batch_size,
        seed=seed,
        progress=progress,
    )
    pairs = _write(bench, prompts, limit)
    return PairsRecord(
        upstream=run.digests("data.json", "training.json"),
        asked=count,
        prompts=len(prompts),
        identical=len(prompts) - len(pairs),
        too_long=too_long,
        max_new_tokens=limit,
        precision=training.precision,
        seed=seed,
        environment=environment(),
        pairs=pairs,
    )


def _write(bench: Bench, prompts: Sequence[_Prompt], limit: int) -> list[Pair]:
    """Has both models write up to `limit` tokens after each prompt; what they write alike is no pair."""
    base = bench.generate("base", prompts, limit, "Texts to rate")
    tuned = bench.generate("tuned", prompts, limit, "Texts to rate")
    return [
        Pair(prompt=bench.tokenizer.decode(prompt, skip_special_tokens=True), base=one.text, tuned=other.text)
        for prompt, one, other in zip(prompts, base, tuned, strict=True)
        if one.text != other.text
    ]


def _choose(
    rows: Sequence[Example], count: int, seed: int, name: str, *, context: int | None, limit: int
) -> tuple[list[_Prompt], int]:
    """Returns distinct prompts in an order drawn by the seed, and how many were passed over as too long.

    Raises:
        DataError: None leaves room for the `limit` tokens that the model of that name writes.
    """
    room = None if context is None else context - limit
    distinct = dict.fromkeys(prompt_of(row) for row in rows)
    drawn = sorted(distinct, key=lambda prompt: hashlib.sha256(f"{seed}:{prompt}".encode()).digest())
    chosen: list[_Prompt] = []
    too_long = 0
    for prompt in drawn:
        if len(chosen) == count:
            break
        if room is not None and len(prompt) > room:
            too_long += 1
        else:
            chosen.append(prompt)
    if not chosen:
        raise DataError(
            f"Every held-out prompt is too long: {name} reads {context:,} tokens at once, the {limit:,} that it writes "
            "included.",
            hint="Hold out shorter rows, or choose a base model that reads more at once.",
        )
    return chosen, too_long


def prompt_of(row: Example) -> _Prompt:
    """Returns the tokens to go on from, at least one: the row's prompt, or the first half of a row that has none."""
    end, _ = prompt_end(row)
    return tuple(row.input_ids[: max(1, end)])
