"""A published release's records, as what a card is made from."""

from hubtune import __version__
from hubtune.card.inputs import CardInputs, ReleaseTarget
from hubtune.config.schema import TuneConfig
from hubtune.pipeline.licensing import decide_release
from hubtune.pipeline.published import PublishedRelease


def card_inputs(release: PublishedRelease, config: TuneConfig, tag: str) -> CardInputs:
    """Returns what the card of the release is made from.

    Args:
        release: What was published.
        config: The release's config, or that with another tag.
        tag: The revision that the card's examples load.
    """
    return CardInputs(
        config=config,
        pins=release.pins,
        data=release.data,
        training=release.training,
        evaluation=release.evaluation,
        licenses=decide_release(config, release.licenses.inputs),
        target=ReleaseTarget.of(config.publish.model_copy(update={"repo": release.repo, "tag": tag})),
        version=__version__,
        merge=release.merge,
        ratings=release.ratings,
    )
