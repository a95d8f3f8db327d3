"""`hubtune merge`: merges a published adapter into its base model on disk."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.options import NamedRelease, hub_option, on_hub, release_argument
from hubtune.cli.output import Output

if TYPE_CHECKING:
    from hubtune.records.release import MergeRecord


@click.command(short_help="Merge a published adapter into its base model.")
@release_argument
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--base-revision", metavar="COMMIT", help="Commit of the base model, if the adapter does not name one.")
@hub_option
@click.pass_obj
def merge(output: Output, release: NamedRelease, folder: Path, base_revision: str | None, hub: Path | None) -> None:
    """Merge the adapter REPO@TAG into its full-precision base model and write the merged model to the new folder DIR.

    The base model is loaded at the commit that the adapter names. The merged model is loaded from disk and compared
    with the base model and adapter. If they differ too much, the command fails and leaves DIR unchanged.
    """
    with on_hub(hub):
        from hubtune.pipeline.merge import merge_published

        record = merge_published(release.repo, release.revision, folder, output.progress, base_revision=base_revision)
    output.result(record, _lines(record, folder))


def _lines(record: "MergeRecord", folder: Path) -> list[str]:
    found = record.fidelity
    done = "" if found.effect is None else f"; the merged model reproduces {found.effect:.1%} of its effect"
    return [
        f"Base:     {record.base.repo} at {record.base.commit}",
        f"Adapter:  {record.adapter.repo} at {record.adapter.commit}" if record.adapter else "Adapter:  the run's",
        f"Merged:   {record.changed_tensors} tensors changed, {record.shards} file(s) in {record.dtype}",
        f"Fidelity: logits differ by at most {found.max_difference:.2g} (the adapter changes them by up to "
        f"{found.base_max_difference:.2g}){done}; KL {found.kl:.2g} nats; same next token at "
        f"{found.greedy_agreement:.1%} of {found.positions} positions",
        f"Model:    {folder}",
    ]
