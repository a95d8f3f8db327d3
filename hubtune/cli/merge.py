"""`hubtune merge`: a published adapter and its base model become one model on disk."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.options import NamedRelease, hub_option, on_hub, release_argument
from hubtune.cli.output import Output

if TYPE_CHECKING:
    from hubtune.records.merge import MergeRecord


@click.command(short_help="Merge a published adapter into its base model.")
@release_argument
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--base-revision", metavar="COMMIT", help="The base model's revision, if the adapter does not name a commit."
)
@hub_option
@click.pass_obj
def merge(output: Output, release: NamedRelease, folder: Path, base_revision: str | None, hub: Path | None) -> None:
    """Merge the adapter REPO@TAG into its full-precision base model, and put the whole model into the new folder DIR.

    The base is taken at the commit that the adapter names. Then the merged model is loaded again and compared with the
    base and the adapter; one that strays from them is refused, and DIR stays as it was.
    """
    with on_hub(hub):
        from hubtune.pipeline.merge import merge_published

        record = merge_published(release.repo, release.revision, folder, output.progress, base_revision=base_revision)
    output.result(record, _lines(record, folder))


def _lines(record: "MergeRecord", folder: Path) -> list[str]:
    found = record.fidelity
    done = "" if found.effect is None else f", and {found.effect:.1%} of what it does is done"
    return [
        f"Base:     {record.base.repo} at {record.base.commit}",
        f"Adapter:  {record.adapter.repo} at {record.adapter.commit}" if record.adapter else "Adapter:  the run's",
        f"Merged:   {record.changed_tensors} tensors changed, {record.shards} file(s) in {record.dtype}",
        f"Fidelity: logits differ by at most {found.max_difference:.2g} (the adapter changes them by up to "
        f"{found.base_max_difference:.2g}){done}; KL {found.kl:.2g} nats; same next token at "
        f"{found.greedy_agreement:.1%} of {found.positions} positions",
        f"Model:    {folder}",
    ]
