"""The card says what the model learned before, what was done against forgetting it, and how much was forgotten."""

from dataclasses import replace

import pytest

from hubtune.card.inputs import CardInputs
from hubtune.card.render import render_card
from hubtune.config.training import EarlierConfig
from hubtune.records.data import EarlierDataRecord, FindingRecord, ScreenRecord, SplitRecord
from hubtune.records.results import EARLIER_HELD_OUT, EarlierTaskRecord, Measure
from hubtune.release.differences import earlier_rows_of


def _split(rows: int) -> SplitRecord:
    return SplitRecord(rows=rows, tokens=10 * rows, learnt=10 * rows, truncated=0)


def _measure(name: str, base: float | None, tuned: float, rows: int) -> Measure:
    few = rows < 10
    return Measure(
        name=name,
        split=EARLIER_HELD_OUT,
        n=rows,
        base=base,
        tuned=tuned,
        interval=None,
        status="insufficient data" if few else "measured",
    )


@pytest.fixture
def learnt_before(inputs: CardInputs):
    """Returns the inputs with an earlier task in a local file."""

    def make(
        after: float, *, ewc: float = 0, replay: float = 0, rows: int = 150, screen: ScreenRecord | None = None
    ) -> CardInputs:
        local = {"repo": None, "commit": None, "file": "before.csv", "sha256": "c" * 64}
        source = inputs.data.sources[0].model_copy(update=local)
        data = EarlierDataRecord(
            sources=[source],
            train=_split(1200),
            held_out=_split(rows),
            replayed=_split(300 if replay else 0),
            matter=200 if ewc else 0,
            left_out=7,
            split_method="by text",
            screen=screen,
        )
        task = EarlierTaskRecord(
            rows=rows,
            tokens=10 * rows,
            before=2.5,
            after=after,
            replayed=data.replayed.rows,
            ewc=ewc,
            fisher_rows=data.matter,
        )
        entry = {"path": "before.csv", "text": "quote"}
        config = EarlierConfig.model_validate({"data": [entry], "ewc": ewc, "replay": replay})
        measures = [_measure("perplexity", 81.5, 14.25, rows), _measure("forgetting", None, task.forgetting, rows)]
        evaluation = inputs.evaluation.model_copy(update={"measures": [*inputs.evaluation.measures, *measures]})
        return replace(
            inputs,
            config=inputs.config.model_copy(update={"earlier": config}),
            data=inputs.data.model_copy(update={"earlier": data}),
            training=inputs.training.model_copy(update={"earlier": task}),
            evaluation=evaluation,
        )

    return make


def _part(card: str) -> str:
    return card.split("**Earlier task.**")[1].split("\n**Samples.**")[0]


def test_what_was_forgotten_is_told_in_words_with_what_was_done_against_it(learnt_before) -> None:
    part = _part(render_card(learnt_before(2.75, ewc=400, replay=0.2)))

    assert "`before.csv` (a local file with SHA-256 `ccccccc…`" in part
    assert "Of these rows, 150 are held out and measured, and 1,200 are not held out" in part
    assert "7 rows were dropped because the new data has the same text in the other part" in part
    assert "300 rows of the earlier task were replayed, 20.0% of the training set" in part
    assert "with a strength of 400 kept the weights close to their initial values." in part
    assert "The importance of each weight was estimated on 200 rows" in part
    assert "rose from 2.500 to 2.750 nats per token. Forgetting is therefore 0.250" in part
    assert "| Perplexity on the earlier task | 81.50 | 14.25 | 150 |" in part
    assert "| Forgetting on the earlier task | \N{EN DASH} | 0.250 | 150 |" in part
    assert "too few" not in part


def test_the_interval_of_what_was_forgotten_is_told(learnt_before) -> None:
    inputs = learnt_before(2.75)
    forgetting = inputs.evaluation.of_earlier[-1].model_copy(update={"interval": (0.125, 0.375)})
    evaluation = inputs.evaluation.model_copy(update={"measures": [*inputs.evaluation.measures[:-1], forgetting]})

    part = _part(render_card(replace(inputs, evaluation=evaluation)))

    assert "Forgetting is therefore 0.250 nats per token (95% CI 0.125 to 0.375)." in part


def test_what_is_better_known_than_before_was_not_forgotten_and_few_rows_are_said_to_be_few(learnt_before) -> None:
    part = _part(render_card(learnt_before(2.25, rows=6)))

    assert "No method against forgetting was used." in part
    assert "\N{MINUS SIGN}0.250 nats per token: this training caused no forgetting of the earlier task." in part
    assert "There are too few rows to rely on this." in part


def test_the_headline_the_tables_and_the_metadata_are_of_the_task_itself(inputs: CardInputs, learnt_before) -> None:
    plain, card = render_card(inputs), render_card(learnt_before(2.75))

    assert card.split("\n# ")[0] == plain.split("\n# ")[0]
    for text in ("81.50", "14.25"):
        assert card.count(text) == 1
    assert card.split("**Earlier task.**")[0].split("## Evaluation")[1] in plain
    assert "before.csv" in card.split("## Provenance")[1]


def test_what_screening_found_in_the_earlier_rows_is_told(learnt_before) -> None:
    finding = FindingRecord(kind="email", policy="redact", rows=3, hits=4, per_thousand=2, dropped=0, redacted=4)
    screen = ScreenRecord(rows=1350, phone_regions=["US"], findings=[finding])

    part = _part(render_card(learnt_before(2.75, screen=screen)))

    assert "screened like the new rows: E-mail addresses in 3 rows (replaced by placeholders)" in part


def test_releases_with_other_earlier_rows_do_not_compare(learnt_before, inputs: CardInputs) -> None:
    one, same, fewer = (learnt_before(after, rows=rows) for after, rows in ((2.75, 150), (2.5, 150), (2.75, 149)))

    rows = [earlier_rows_of(each.data, each.config) for each in (one, same, fewer, inputs)]

    assert rows[0] == rows[1] is not None
    assert rows[2] != rows[0]
    assert rows[3] is None
