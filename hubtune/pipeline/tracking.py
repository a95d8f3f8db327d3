"""What a run reports to trackers and meters beside its training: checked before it, and added after it."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from types import MappingProxyType

from hubtune.config.training import TrackerName, TrainConfig
from hubtune.errors import MissingExtraError
from hubtune.records.base import Progress
from hubtune.records.release import ReleaseRecord
from hubtune.records.results import EvaluationRecord, TrainingRecord
from hubtune.records.rundir import RunDirectory
from hubtune.train.cost import check_country, unassessed
from hubtune.train.trackers import TRACKERS, Entry, in_place, warn_of

_INSTALLED_BY = {
    "trackio": 'pip install "hubtune[track]"',
    "tensorboard": 'pip install "hubtune[track]"',
    "wandb": "pip install wandb",
    "mlflow": "pip install mlflow",
}


def require_reporting(settings: TrainConfig) -> None:
    """Refuses a config whose reporting cannot work.

    Raises:
        MissingExtraError: A tracker is not installed.
        ConfigError: codecarbon has no data about the electricity of the country.
    """
    require_trackers(settings.report_to)
    if settings.country is not None and unassessed(settings.country) is None:
        check_country(settings.country)


def require_trackers(names: Sequence[TrackerName]) -> None:
    """Refuses trackers that are not installed.

    Raises:
        MissingExtraError: One is not.
    """
    missing = [name for name in names if not _is_installed(name)]
    if missing:
        commands = list(dict.fromkeys(_INSTALLED_BY[name] for name in missing))
        raise MissingExtraError(
            f"`train.report_to` names trackers that are not installed: {', '.join(missing)}.",
            hint=f"Install with: {'; '.join(commands)}; or take the name out of the list.",
        )


def _is_installed(name: str) -> bool:
    # A folder of that name in the working folder, such as wandb's own, is found too, and has no origin.
    spec = find_spec(name)
    return spec is not None and spec.origin is not None


def add_evaluation(run: RunDirectory, evaluation: EvaluationRecord, progress: Progress) -> None:
    """Adds the measures to the runs of the trackers; a tracker that fails is a warning.

    Args:
        run: The run directory.
        evaluation: Its evaluation record.
        progress: Reports a tracker that failed.

    Raises:
        RecordError: The run was not trained.
    """
    numbers: dict[str, float] = {}
    for measure in evaluation.measures:
        name = f"evaluation/{measure.split}/{measure.name}"
        for side, value in ((name, measure.tuned), (f"{name} of the base model", measure.base)):
            if measure.status == "measured" and value is not None:
                numbers[side] = value
    _add(run, progress, numbers=numbers)


def add_release(run: RunDirectory, release: ReleaseRecord, progress: Progress) -> None:
    """Adds the release to the runs of the trackers; a tracker that fails is a warning.

    Args:
        run: The run directory.
        release: The release.
        progress: Reports a tracker that failed.

    Raises:
        RecordError: The run was not trained.
    """
    texts = {"release/repo": release.repo, "release/tag": release.tag, "release/commit": release.commit}
    _add(run, progress, texts=texts)


def _add(
    run: RunDirectory,
    progress: Progress,
    *,
    numbers: Mapping[str, float] = MappingProxyType({}),
    texts: Mapping[str, str] = MappingProxyType({}),
) -> None:
    training = run.read(TrainingRecord)
    entry = Entry(training.steps, numbers, texts)
    for noted in training.trackers:
        tracker = TRACKERS[noted.tracker](run, noted, continued=True)
        try:
            with in_place(tracker):
                tracker.add(entry)
        except Exception as error:  # noqa: BLE001 - the last net: no tracker undoes what was measured or published
            warn_of(tracker, error, run, progress)
        for said in tracker.warned:
            progress.warn(f"{tracker.title}: {said}")
