"""The release of a run as it would be published: renders and checks its card and its plan, and changes nothing.

Publishing uploads exactly this, and the dry run reports it. If the owner edited the card in the run, it is neither
published nor overwritten.
"""

import os
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import PurePosixPath

from hubtune import __version__
from hubtune.card.check import check_card
from hubtune.card.diff import diff_cards
from hubtune.card.inputs import CardInputs, ReleaseTarget
from hubtune.card.licensing.legal_files import license_files
from hubtune.card.lint.card import CardSource
from hubtune.card.plots import render_pictures
from hubtune.card.render import render_card
from hubtune.card.sections.evaluation import EVALUATION_PICTURE
from hubtune.card.sections.training import LOSS_PICTURE
from hubtune.config.load import TargetOptions, dump_config, parse_config
from hubtune.config.schema import TuneConfig
from hubtune.errors import CardError, ConfigError, EditedCardError
from hubtune.files import file_errors, read_bytes
from hubtune.hub.client import current_token
from hubtune.hub.snapshot import cached
from hubtune.pipeline.context import RunContext
from hubtune.pipeline.licensing import decide_release, license_folders, license_record, require_allowed
from hubtune.publish.plan import ReleasePlan, plan_release
from hubtune.publish.preflight import check_publisher, preview, refuse_canaries, refuse_secrets
from hubtune.records.base import PinSet, write_atomic
from hubtune.records.data import DataRecord
from hubtune.records.ratings import RatingsRecord
from hubtune.records.release import CARD, MergeRecord, PlannedMetadata, PlanRecord
from hubtune.records.results import EvaluationRecord, TrainingRecord
from hubtune.records.rundir import RunDirectory


def edited_card_files(run: RunDirectory) -> list[str]:
    """Returns the paths of the run's card and pictures that do not hold what hubtune wrote there.

    Raises:
        FileError: One cannot be read.
    """
    found = []
    for name in (CARD, LOSS_PICTURE, EVALUATION_PICTURE):
        path = run.path / name
        if os.path.lexists(path):
            with file_errors(path, "read"):
                if not run.is_as_written(name):
                    found.append(name)
    return found


def refuse_edited_card(run: RunDirectory) -> None:
    """Checks that nothing that somebody wrote into the card by hand would be left out of a release.

    Raises:
        EditedCardError: The card or one of its pictures was edited.
    """
    edited = edited_card_files(run)
    if edited:
        raise EditedCardError(
            f"{' and '.join(edited)} in {run.path} {'was' if len(edited) == 1 else 'were'} edited by hand. hubtune "
            "renders the card again from the records and the config, so what you wrote would be lost.",
            details=[
                f"To keep your words, state them in your config, and in {run.config_file} (card.intended_use, "
                "misuse, consent, safeguards, ethics, bias), or write section templates of your own (card.templates).",
                "To go back to the rendered card: the command below. It keeps your version beside it.",
            ],
            hint=f"hubtune card render {run.path}",
        )


def keep_edited(run: RunDirectory, name: str) -> str:
    """Copies a file of the run to a name that is free, and returns that name.

    Raises:
        FileError: It cannot be read or written.
    """
    path = PurePosixPath(name)
    for number in count(1):
        kept = str(path.with_name(f"{path.stem}.edited{'' if number == 1 else f'-{number}'}{path.suffix}"))
        if not os.path.lexists(run.path / kept):
            write_atomic(run.path / kept, read_bytes(run.path / name))
            return kept
    raise AssertionError("the loop ends at a free name")


def card_inputs(run: RunDirectory, config: TuneConfig) -> CardInputs:
    """Returns what the card of a run is made from: its records, and the licenses that they come to.

    Raises:
        RecordError: A record is missing.
    """
    merged = config.publish.artifact == "merged" and not config.train.whole
    return CardInputs(
        config=config,
        pins=run.read(PinSet),
        data=run.read(DataRecord),
        training=run.read(TrainingRecord),
        evaluation=run.read(EvaluationRecord),
        licenses=decide_release(config, license_record(run).inputs),
        target=ReleaseTarget.of(config.publish),
        version=__version__,
        merge=run.read(MergeRecord) if merged and run.has(MergeRecord) else None,
        ratings=run.read(RatingsRecord) if run.has(RatingsRecord) else None,
    )


@dataclass(frozen=True)
class RunCard:
    """The model card of a run: the text of README.md, and its pictures by their names."""

    text: str
    pictures: dict[str, bytes]

    @classmethod
    def render(cls, inputs: CardInputs) -> "RunCard":
        """Renders a card and checks it.

        Raises:
            CardError: It is incomplete or holds a placeholder.
        """
        text = render_card(inputs)
        check_card(text)
        return cls(text, render_pictures(inputs))

    def write(self, run: RunDirectory) -> None:
        """Puts the card into the run directory."""
        for path, content in self.pictures.items():
            run.write_file(path, content)
        run.write_file(CARD, self.text)


@dataclass(frozen=True)
class PlannedRelease:
    """A release that can be published: the plan, and the card as the run keeps it."""

    plan: ReleasePlan
    card: RunCard


def plan_publish(run: RunDirectory, config: TuneConfig) -> PlannedRelease:
    """Plans the release of a run and checks all that can be checked without the Hub; writes nothing.

    Args:
        run: A run with all records.
        config: Its config, with the target.

    Raises:
        HubtuneError: The run is not complete, its card is not valid, its licenses do not allow a release, or a file
            holds a secret.
    """
    refuse_edited_card(run)
    if config.publish.repo is None:
        raise ConfigError(
            "The config names no repository to publish to.",
            hint="Set `publish.repo` in config.yaml of the run, or give it: --push namespace/name",
        )
    inputs = card_inputs(run, config)
    refuse_canaries(inputs.data.canaries.rows if inputs.data.canaries else 0)
    require_allowed(inputs.licenses)
    card = RunCard.render(inputs)
    made = {
        CARD: card.text.encode(),
        **_legal_files(inputs, config.publish.repo),
        **card.pictures,
        **_chat_template(config),
    }
    plan = plan_release(run, config, config.publish.repo, cached(inputs.pins.base), made)
    refuse_secrets({**plan.files, "the commit's message": plan.message.encode()}, current_token())
    return PlannedRelease(plan, card)


def with_target(config: TuneConfig, target: TargetOptions) -> TuneConfig:
    """Returns the config with what the command line says of the release.

    Raises:
        ConfigError: The repository's id is malformed, the tag is not a version, and the like.
    """
    config = parse_config(
        dump_config(config), target.overrides, source="config.yaml of the run with the options", started=True
    )
    config = target.apply_counterpart(config)
    target.require_fit(config)
    return config


def _legal_files(inputs: CardInputs, repo: str) -> dict[str, bytes]:
    return license_files(
        inputs.licenses,
        license_folders(inputs.pins),
        owner=repo.partition("/")[0],
        year=datetime.fromisoformat(inputs.training.started).year,
    )


def _chat_template(config: TuneConfig) -> dict[str, bytes]:
    return {"chat_template.jinja": config.chat_template.encode()} if config.chat_template is not None else {}


def plan_run(context: RunContext, target: TargetOptions) -> PlanRecord:
    """Tells what `hubtune publish` would do with a run.

    Raises:
        HubtuneError: What publishing would be refused for, as far as it can be known before.
    """
    progress = context.progress
    planned = plan_publish(context.run, with_target(context.config, target))
    plan = planned.plan
    check_publisher(plan.repo, progress, propose=target.propose)
    found = preview(plan, progress)
    return PlanRecord(
        repo=plan.repo,
        exists=found.exists,
        private=plan.private,
        branch=plan.branch,
        parent=found.parent,
        tag=plan.tag,
        artifact=plan.artifact,
        message=plan.message,
        pull_request=target.propose,
        published=found.published,
        files=found.files,
        delete=found.delete,
        metadata=_metadata(found.card, planned.card.text.encode()),
        run_dir=str(context.run.path),
    )


def _metadata(before: bytes | None, after: bytes) -> list[PlannedMetadata]:
    try:
        changes = diff_cards(CardSource(before or b"", path="the card there"), CardSource(after)).metadata
    except CardError:
        # A card there whose metadata cannot be read is replaced as a whole.
        changes = diff_cards(CardSource(b""), CardSource(after)).metadata
    return [
        PlannedMetadata(key=change.key, change=change.change, before=change.before, after=change.after)
        for change in changes
    ]
