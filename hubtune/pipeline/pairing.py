"""Makes the pairs of texts that raters compare, once for a run."""

from hubtune.errors import ConfigError, DataError
from hubtune.files import file_errors
from hubtune.pipeline.extras import require_train
from hubtune.pipeline.places import base_folder
from hubtune.pipeline.rating import kept_pairs
from hubtune.records.pins import PinSet
from hubtune.records.progress import Progress
from hubtune.records.ratings import PairsRecord
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

DEFAULT_PAIRS = 50


def pairs_of(run: RunDirectory, count: int | None, progress: Progress) -> PairsRecord:
    """Returns the run's pairs, which are made where there are none yet; only that needs the models.

    Args:
        run: A run with an adapter.
        count: How many prompts; None for 50, or as many as there are pairs for already.
        progress: Told of each step.

    Raises:
        HubtuneError: The run was not trained, or was trained again since the pairs were made; it has other pairs than
            `count` asks for; its data or models cannot be read; or there is no pair to rate.
    """
    pairs = kept_pairs(run) or _make(run, count or DEFAULT_PAIRS, progress)
    if count is not None and count != pairs.asked:
        raise ConfigError(
            f"The pairs of {run.path} were made already, for {pairs.asked} prompts.",
            hint=f"Leave out -n; or move {run.ratings_dir} elsewhere to start again with {count}.",
        )
    if not pairs.pairs:
        raise DataError(
            f"Base and tuned model write the same after each of {pairs.prompts} prompts: there is nothing to prefer.",
            hint="Train longer, or with a higher learning rate.",
        )
    return pairs


def _make(run: RunDirectory, count: int, progress: Progress) -> PairsRecord:
    training, pins = run.read(TrainingRecord), run.read(PinSet)
    require_train("Making the pairs")
    from hubtune.evaluate.pairs import make_pairs
    from hubtune.pipeline.stages import run_data, run_tokenizer

    prepared = run_data(run, progress)
    if prepared.labels is not None:
        raise ConfigError(
            "The rows of this run have labels: its model classifies, and there are no texts to compare.",
            hint=f"Its measures say how well it classifies: hubtune evaluate {run.path}",
        )
    config = run.config()
    folder, tokenizer = base_folder(config, pins), run_tokenizer(config, pins)
    record = make_pairs(run, config, folder, tokenizer, training, prepared.held_out, count, progress)
    with file_errors(run.path):
        run.ratings_dir.mkdir(exist_ok=True)
    run.write(record)
    progress.say(
        f"{len(record.pairs)} pairs from {record.prompts} held-out prompts "
        f"({record.identical} where both wrote the same)"
    )
    return record
