"""The claim about the card: it is rendered from the records, so every number on it comes from a record."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import zip_longest

from hubtune import __version__
from hubtune.card import wording
from hubtune.card.inputs import CardInputs, ReleaseTarget
from hubtune.card.lint.rules.results import ShownNumbers, numbers_in
from hubtune.card.metadata import build_metadata
from hubtune.card.render import render_card
from hubtune.config.schema import TuneConfig
from hubtune.metadata.front_matter import front_matter, split_card
from hubtune.pipeline.licensing import decide_release
from hubtune.records import release
from hubtune.records.base import LicenseRecord, PinSet
from hubtune.records.data import DataRecord
from hubtune.records.ratings import RatingsRecord
from hubtune.records.results import EvaluationRecord, TrainingRecord
from hubtune.verify.release_documents import ContradictedError, Documents, Subject, refuse


def check_card(subject: Subject) -> str:
    """Compares the card with a new rendering or, if that is not possible, with the values that the records give."""
    documents = subject.documents
    manifest, card = documents.manifest, documents.need_card()
    config = documents.need_config()
    own = config.card.templates is not None
    inputs = _inputs(documents, manifest, config)
    if own or manifest.hubtune != __version__:
        refuse([*_metadata(card, inputs), *_values(card, documents.need(EvaluationRecord))])
        reason = "its author's own templates" if own else f"hubtune {manifest.hubtune}, which is not {__version__}"
        return (
            f"it was made with {reason}, so it was not rendered again: its metadata and each measured value are those "
            "of the records, and other words and numbers were not compared"
        )
    rendered = render_card(inputs)
    if rendered != card:
        raise ContradictedError(_first_difference(card, rendered))
    return "every word and number on it follows from the records (its pictures are not drawn again)"


def _inputs(documents: Documents, manifest: release.Manifest, config: TuneConfig) -> CardInputs:
    # The folder of templates is on the publisher's disk; one of that name on this disk is another.
    without = config.model_copy(update={"card": config.card.model_copy(update={"templates": None})})
    return CardInputs(
        config=without,
        pins=documents.need(PinSet),
        data=documents.need(DataRecord),
        training=documents.need(TrainingRecord),
        evaluation=documents.need(EvaluationRecord),
        licenses=decide_release(config, documents.need(LicenseRecord).inputs),
        target=ReleaseTarget(manifest.repo, manifest.tag, manifest.artifact, config.publish.counterpart),
        version=manifest.hubtune,
        merge=documents.find(release.MergeRecord),
        ratings=documents.find(RatingsRecord),
    )


def _metadata(card: str, inputs: CardInputs) -> Iterator[str]:
    stated: Mapping[str, object] = front_matter(card) or {}
    given = build_metadata(inputs).model_dump(mode="json", by_alias=True, exclude_none=True)
    for key, value in given.items():
        if stated.get(key) != value:
            yield f"the metadata's {key} is not what the records give"


def _values(card: str, evaluation: EvaluationRecord) -> Iterator[str]:
    lines = split_card(card)[1].split("\n")
    shown, numbers = ShownNumbers(lines), {number for line in lines for number in numbers_in(line)}
    for measure in evaluation.measures:
        for side, value in (("base", measure.base), ("tuned", measure.tuned)):
            if value is not None and not (shown.hold(value) or numbers & _as_cards_write(value)):
                yield f"{measure.name} of the {side} model is {value:g} in the records, and not on the card"


def _as_cards_write(value: float) -> set[Decimal]:
    """Returns a value as a card of hubtune rounds it, which is coarse for a small one: 0.0094 is 0.009 there."""
    forms = (wording.measure(value), wording.percent(value), wording.signed(100 * value, of=100))
    return {number for form in forms for number in numbers_in(form)}


def _first_difference(card: str, rendered: str) -> str:
    pairs = zip_longest(card.split("\n"), rendered.split("\n"))
    line, (found, right) = next((n, pair) for n, pair in enumerate(pairs, start=1) if pair[0] != pair[1])
    if found is None:
        return f"it ends before line {line}, where the records give {_quoted(right)}"
    if right is None:
        return f"the records give nothing from line {line} on, which is {_quoted(found)}"
    return f"line {line} is {_quoted(found)}, and the records give {_quoted(right)}"


def _quoted(text: str | None) -> str:
    whole = text or ""
    return repr(whole if len(whole) <= 200 else f"{whole[:200]}…")
