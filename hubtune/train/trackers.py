"""Trackers: where each one writes, which of its runs a training reports to, and what is added to that run afterwards.

Trackers read their settings from the environment. Without settings of the user's they write into the run directory, and
none uses a network. torch is imported for the training alone: the release is added by anyone who publishes.
"""

import contextlib
import io
import logging
import os
import re
import secrets
import sys
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from hubtune.config.fields import PUBLIC_HUB
from hubtune.config.training import TrackerName
from hubtune.records.base import Progress
from hubtune.records.results import TrackerRun
from hubtune.records.rundir import RunDirectory

FOLDER = "trackers"
"""Where trackers write within a run directory."""
# What a tracker's error may take of a line.
_MOST_SAID = 300


@dataclass(frozen=True)
class Entry:
    """What is added to a tracker's run after the training.

    Attributes:
        step: Optimizer steps that were done.
        numbers: Measures by name.
        texts: Facts by name.
    """

    step: int
    numbers: Mapping[str, float]
    texts: Mapping[str, str]


class Tracker(ABC):
    """One tracker of a run.

    Args:
        run: The run directory.
        noted: The tracker's run, to begin or to continue.
        continued: Whether it has begun.
    """

    name: ClassVar[TrackerName]
    title: ClassVar[str]

    def __init__(self, run: RunDirectory, noted: TrackerRun, *, continued: bool) -> None:
        self.folder = run.path / FOLDER / self.name
        self._run = run
        self.project, self.id, self.continued = noted.project, noted.run, continued
        # The step that a resumed training begins after.
        self.first_step = 0
        # What it warned of: some trackers go on by themselves when they fail.
        self.warned: list[str] = []

    @property
    def run_name(self) -> str:
        """The name that a person sees; a run that is continued keeps it."""
        return self.id

    def environment(self) -> dict[str, str]:
        """Returns the environment variables of the tracker, besides those that the user has set."""
        return {}

    @abstractmethod
    def callback(self) -> Any:
        """Returns transformers' callback for it."""

    def begun(self) -> TrackerRun:
        """Returns the run that has begun."""
        return TrackerRun(tracker=self.name, project=self.project, run=self.id, address=self.address())

    def finish(self, callback: Any, *ending: Any) -> None:
        """Ends the part of the run that this training reported to.

        Args:
            callback: transformers' callback.
            ending: What it is given when the training ends.
        """
        callback.on_train_end(*ending)

    def failure(self) -> str | None:
        """Returns what it could not do and did not raise; None if nothing."""
        return None

    def address(self) -> str | None:
        """Returns the address of the run, without credentials, or its place in the run directory."""
        return self._place(self.folder)

    @abstractmethod
    def add(self, entry: Entry) -> None:
        """Adds to the run after the training."""

    def _place(self, path: Path) -> str | None:
        # Elsewhere on the machine is nobody else's matter.
        return path.relative_to(self._run.path).as_posix() if path.is_relative_to(self._run.path) else None


class Trackio(Tracker):
    """Trackio: a folder of SQLite files with its own page; or a Space or a server of the user's."""

    name = "trackio"
    title = "Trackio"
    _writes: Any = None

    def environment(self) -> dict[str, str]:
        return {"TRACKIO_DIR": os.environ.get("TRACKIO_DIR") or str(self.folder)}

    def callback(self) -> Any:
        from transformers.integrations import TrackioCallback

        _trackio()
        Path(os.environ["TRACKIO_DIR"]).mkdir(parents=True, exist_ok=True)
        return TrackioCallback()

    def begun(self) -> TrackerRun:
        self._writes = _trackio().context_vars.current_run.get()
        return super().begun()

    def failure(self) -> str | None:
        # It writes in a thread, and only warns of what it cannot write.
        failures = getattr(self._writes, "_warned_failures", None)
        return f"it could not write ({', '.join(sorted(failures))})" if failures else None

    def address(self) -> str | None:
        space, server = os.environ.get("TRACKIO_SPACE_ID"), os.environ.get("TRACKIO_SERVER_URL")
        if space:
            # A name without its owner is completed when the run begins.
            return f"{PUBLIC_HUB}/spaces/{_trackio().context_vars.current_space_id.get() or space}"
        return _without_credentials(server) if server else self._place(Path(os.environ["TRACKIO_DIR"]))

    def add(self, entry: Entry) -> None:
        trackio = _trackio()
        there = [] if _trackio_is_elsewhere() else trackio.Api().runs(self.project)
        known = next((run.config or {} for run in there if run.name == self.id), None)
        run = trackio.init(
            self.project, name=self.id, resume="allow", embed=False, auto_log_cpu=False, auto_log_gpu=False
        )
        # The config that goes with the first entry replaces the run's; none goes if it is empty.
        if known is None:
            run.config.clear()
        else:
            run.config.update({**known, **entry.texts})
        trackio.log({**entry.numbers, **(entry.texts if known is None else {}), "train/global_step": entry.step})
        trackio.finish()


def _trackio_is_elsewhere() -> bool:
    return bool(os.environ.get("TRACKIO_SPACE_ID") or os.environ.get("TRACKIO_SERVER_URL"))


def _trackio() -> Any:
    """Imports Trackio, which chooses its folder when it is imported, for the folder that TRACKIO_DIR names now."""
    known = sys.modules.get("trackio")
    if known is not None and str(known.TRACKIO_DIR) != os.environ["TRACKIO_DIR"]:
        for name in [name for name in sys.modules if name.partition(".")[0] == "trackio"]:
            del sys.modules[name]
    import trackio

    with contextlib.suppress(ImportError):
        import gradio_client

        # A client for a Space would report its use to the public Hub; no setting of it is read this late.
        gradio_client.Client._telemetry_thread = lambda _: None
    if not _trackio_is_elsewhere():
        # It would ask the Hub whose the token is, to write the name beside each run.
        trackio.run.Run._get_username = lambda _: None
    return trackio


class TensorBoard(Tracker):
    """TensorBoard: a folder of event files."""

    name = "tensorboard"
    title = "TensorBoard"

    @property
    def _logs(self) -> Path:
        given = os.environ.get("TENSORBOARD_LOGGING_DIR")
        return Path(given).expanduser() / self.id if given else self.folder

    def callback(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations import TensorBoardCallback

        # What was written after the checkpoint is written again.
        purged = self.first_step + 1 if self.first_step else None
        return TensorBoardCallback(SummaryWriter(str(self._logs), purge_step=purged))

    def address(self) -> str | None:
        return self._place(self._logs)

    def add(self, entry: Entry) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.text.summary_v2 import text_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        writer = EventFileWriter(str(self._logs))
        summaries = [
            Summary(value=[Summary.Value(tag=name, simple_value=value)]) for name, value in entry.numbers.items()
        ]
        summaries += [text_pb(name, value) for name, value in entry.texts.items()]
        for summary in summaries:
            writer.add_event(Event(step=entry.step, summary=summary, wall_time=time.time()))
        writer.close()


class Wandb(Tracker):
    """Weights & Biases: offline, with files that `wandb sync` uploads; or online if the user has set it so."""

    name = "wandb"
    title = "Weights & Biases"

    def environment(self) -> dict[str, str]:
        theirs = os.environ
        values = {
            "WANDB_RUN_ID": self.id,
            "WANDB_RESUME": "allow",
            "WANDB_PROJECT": theirs.get("WANDB_PROJECT", self.project),
            # It adds a folder `wandb` of its own.
            "WANDB_DIR": theirs.get("WANDB_DIR", str(self.folder.parent)),
            "WANDB_LOG_MODEL": "false",
            "WANDB_DISABLE_CODE": "true",
            # It would write over progress bars, and wait for a minute and a half for a server that does not answer.
            "WANDB_SILENT": "true",
            "WANDB_CONSOLE": "off",
            "WANDB_INIT_TIMEOUT": theirs.get("WANDB_INIT_TIMEOUT", "30"),
        }
        if not (theirs.get("WANDB_MODE") or theirs.get("WANDB_API_KEY")):
            values |= {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
            values |= {f"WANDB_{kind}_DIR": str(self.folder) for kind in ("CACHE", "CONFIG", "DATA")}
        return values

    def callback(self) -> Any:
        import wandb
        from transformers.integrations import WandbCallback

        # It reads the environment once in a process, which may train several times.
        wandb.teardown()
        self.folder.mkdir(parents=True, exist_ok=True)
        return WandbCallback()

    def finish(self, callback: Any, *ending: Any) -> None:
        import wandb

        super().finish(callback, *ending)
        wandb.finish()
        wandb.teardown()

    def address(self) -> str | None:
        import wandb

        if wandb.run is None:
            return None
        return _without_credentials(wandb.run.url) if wandb.run.url else self._place(Path(wandb.run.settings.sync_dir))

    def add(self, entry: Entry) -> None:
        import wandb

        wandb.teardown()
        self.folder.mkdir(parents=True, exist_ok=True)
        run = wandb.init(project=os.environ["WANDB_PROJECT"])
        run.config.update(dict(entry.texts), allow_val_change=True)
        run.log({**entry.numbers, "train/global_step": entry.step})
        run.finish()
        wandb.teardown()


class MLflow(Tracker):
    """MLflow: an SQLite file; or the tracking server that the user has set."""

    name = "mlflow"
    title = "MLflow"

    @property
    def run_name(self) -> str:
        # The id of a run is the server's, and its name is a parameter that cannot be changed.
        return self._run.path.name

    def environment(self) -> dict[str, str]:
        theirs = os.environ
        values = {
            "MLFLOW_TRACKING_URI": theirs.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.folder / 'mlflow.db'}",
            "MLFLOW_EXPERIMENT_NAME": theirs.get("MLFLOW_EXPERIMENT_NAME", self.project),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "HF_MLFLOW_LOG_ARTIFACTS": "false",
            # Its own waits for minutes for a server that does not answer.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": theirs.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"),
            "MLFLOW_HTTP_REQUEST_TIMEOUT": theirs.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "20"),
        }
        return values | ({"MLFLOW_RUN_ID": self.id} if self.continued else {})

    def _mlflow(self) -> Any:
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.folder.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        return mlflow

    def callback(self) -> Any:
        from transformers.integrations import MLflowCallback

        # A run that an earlier training of this process left open.
        self._mlflow().end_run("FAILED")
        return MLflowCallback()

    def begun(self) -> TrackerRun:
        # The server names its runs.
        self.id, self.continued = self._mlflow().active_run().info.run_id, True
        return super().begun()

    def address(self) -> str | None:
        uri = os.environ["MLFLOW_TRACKING_URI"]
        if not uri.startswith(("http://", "https://")):
            path = Path(urlsplit(uri).path)
            return self._place(Path("/", *path.parts[1:])) if uri.startswith("sqlite:") else None
        experiment = self._mlflow().active_run().info.experiment_id
        return f"{_without_credentials(uri).rstrip('/')}/#/experiments/{experiment}/runs/{self.id}"

    def add(self, entry: Entry) -> None:
        client = self._mlflow().MlflowClient()
        for name, value in entry.numbers.items():
            client.log_metric(self.id, re.sub(r"[^0-9A-Za-z_\-. :/]", "_", name), value, step=entry.step)
        for name, text in entry.texts.items():
            client.set_tag(self.id, name, text)


TRACKERS: dict[str, type[Tracker]] = {kind.name: kind for kind in (Trackio, TensorBoard, Wandb, MLflow)}


def new_trackers(run: RunDirectory, begun: Sequence[TrackerRun] = ()) -> list[Tracker]:
    """Returns the trackers that a run's config names, each with a run that continues what has begun.

    Args:
        run: The run directory.
        begun: The runs of an earlier part of the training.
    """
    config, known = run.config(), {each.tracker: each for each in begun}
    project = config.train.project or (config.publish.repo or config.base.repo).rpartition("/")[2]
    # In a project that several people report to, the name of a folder does not tell two runs apart.
    name = f"{run.path.name}-{secrets.token_hex(3)}"
    return [
        TRACKERS[tracker](
            run,
            known.get(tracker, TrackerRun(tracker=tracker, project=project, run=name)),
            continued=tracker in known,
        )
        for tracker in config.train.report_to
    ]


def _without_credentials(address: str) -> str:
    parts = urlsplit(address)
    place = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    return f"{parts.scheme}://{place}{parts.path}"


@contextlib.contextmanager
def in_place(tracker: Tracker) -> Iterator[None]:
    """Gives a tracker its settings within the context, and keeps its output out of the command's result."""
    theirs = tracker.environment()
    before = {name: os.environ.get(name) for name in theirs}
    os.environ.update(theirs)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(record=True) as caught:
            yield
    finally:
        for warning in caught:
            if tracker.name in Path(warning.filename).parts:
                tracker.warned.append(clean(str(warning.message)))
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def explain(error: Exception) -> str:
    """Returns what a tracker raised, in one line without the credentials that an address may hold."""
    return clean(f"{type(error).__name__}: {error}")


def clean(said: str) -> str:
    """Returns what a tracker said, in one line without the credentials that an address may hold."""
    bare = re.sub(r"(?<=://)[^/@\s]+@|(?<=[?&])[\w-]*(?:token|key|password)=[^&\s\"']+", "", said)
    return " ".join(bare.split())[:_MOST_SAID]


def warn_of(tracker: Tracker, error: Exception, run: RunDirectory, progress: Progress) -> str:
    """Reports, and writes to events.jsonl, that a tracker failed; returns the exception as text."""
    said = explain(error)
    progress.warn(f"{tracker.title} failed, and is left out from here on: {said}")
    run.event("tracker", event="failed", tracker=tracker.name, error=said)
    return said
