"""The card's images: the loss curve, and base against tuned. The same records give the same bytes.

The background is transparent and every color is halfway between black and white, so that an image is readable on a
light page and on a dark one.
"""

import io
from typing import TYPE_CHECKING

from hubtune.card.inputs import CardInputs
from hubtune.card.sections.evaluation import EVALUATION_PICTURE, Compared, charted
from hubtune.card.sections.training import LOSS_PICTURE, has_loss_curve
from hubtune.card.wording import measure as digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#7b7b7b"
_FIRST, _SECOND = "#8a8f98", "#2f7de1"
_DPI = 160
_FEW, _COLUMNS = 4, 3


def render_pictures(inputs: CardInputs) -> dict[str, bytes]:
    """Returns the images of the card: path in the repository to PNG."""
    pictures = {}
    if has_loss_curve(inputs.training):
        pictures[LOSS_PICTURE] = _loss_curve(inputs)
    measures = charted(inputs.evaluation)
    if measures:
        pictures[EVALUATION_PICTURE] = _bars(measures)
    return pictures


def _loss_curve(inputs: CardInputs) -> bytes:
    figure, axes = _figure(6.4, 2.8)
    points = inputs.training.losses
    axes.plot([point.step for point in points], [point.loss for point in points], color=_SECOND, linewidth=1.8)
    axes.set_xlabel("optimizer step", color=_INK)
    axes.set_ylabel("loss (nats per token)", color=_INK)
    axes.grid(axis="y", color=_INK, alpha=0.25, linewidth=0.6)
    return _png(figure)


def _bars(measures: list[Compared]) -> bytes:
    from matplotlib.figure import Figure

    # Few are below each other; of many, each row has several, so that the picture stays on one page.
    columns = 1 if len(measures) <= _FEW else _COLUMNS
    rows = -(-len(measures) // columns)
    figure = Figure(figsize=(6.4, (1.1 if columns == 1 else 0.95) * rows + 0.3), layout="constrained")
    # Each measure has a scale of its own, so each has axes of its own.
    places = figure.subplots(rows, columns, squeeze=False).flat
    for measure, axes in zip(measures, places, strict=False):
        assert measure.base is not None, "only measures with both sides are charted"
        values = [measure.tuned, measure.base]
        bars = axes.barh(["tuned", "base"], values, color=[_SECOND, _FIRST], height=0.66)
        axes.bar_label(bars, [digits(value) for value in values], padding=4, color=_INK)
        axes.set_title(measure.name, color=_INK, loc="left", fontsize=10)
        room = 1.15 if columns == 1 else 1.45
        axes.set_xlim(min(0, *values) * room, max(0, *values) * room or (0 if min(values) < 0 else 1))
        axes.set_xticks([])
        _style(axes)
        axes.spines["bottom"].set_visible(False)
    for axes in places:
        axes.set_axis_off()
    return _png(figure)


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _style(axes)
    return figure, axes


def _style(axes: "Axes") -> None:
    axes.patch.set_alpha(0)
    axes.tick_params(colors=_INK, labelcolor=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_INK)


def _png(figure: "Figure") -> bytes:
    figure.patch.set_alpha(0)
    target = io.BytesIO()
    # Without the version of matplotlib, which the picture would name otherwise.
    figure.savefig(target, format="png", dpi=_DPI, metadata={"Software": None})
    return target.getvalue()
