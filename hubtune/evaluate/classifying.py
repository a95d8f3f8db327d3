"""Has the classifier of a side tell the classes of the held-out rows."""

from functools import partial

from hubtune.data.batch import collate_classes
from hubtune.evaluate.bench import Bench, Side
from hubtune.models.classifier import give_classes
from hubtune.models.load import pad_id


def classify_rows(bench: Bench, side: Side) -> list[list[int]]:
    """Returns the ids of the classes that a side gives each held-out row: one, unless a row may be of several."""
    rows, padding, size = bench.held_out, pad_id(bench.tokenizer), bench.batch_size
    starts = range(0, len(rows), size)
    batches = [
        partial(collate_classes, [rows[number] for number in range(start, min(start + size, len(rows)))], padding, None)
        for start in starts
    ]
    with bench.progress.task(f"Classifying held-out rows, {side}", len(starts)) as task, bench.sides[side]() as model:
        return give_classes(model, batches, task.advance)
