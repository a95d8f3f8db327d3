"""The dry run of a release: everything that publishing would do, found out and told, with nothing changed."""

from hubtune.card.diff import diff_cards
from hubtune.card.lint.card import CardSource
from hubtune.config.target import TargetOptions
from hubtune.errors import CardError
from hubtune.pipeline.stages import plan_publish, with_target
from hubtune.publish.preflight import check_publisher
from hubtune.publish.remote import preview
from hubtune.records.base import Progress
from hubtune.records.release import PlannedMetadata, PlanRecord
from hubtune.records.rundir import RunDirectory


def plan_run(run: RunDirectory, progress: Progress, target: TargetOptions) -> PlanRecord:
    """Tells what `hubtune publish` would do with a run.

    Raises:
        HubtuneError: What publishing would be refused for, as far as it can be known before.
    """
    planned = plan_publish(run, with_target(run.config(), target))
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
        metadata=_metadata(found.card, planned.card.encode()),
        run_dir=str(run.path),
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
