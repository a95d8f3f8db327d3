"""Stored rows are read as a sequence of examples, in any order, and what is counted of them costs no reading."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from hubtune.config.data import ScreenConfig
from hubtune.data.data_files import PinnedData
from hubtune.data.row_batches import EncodingSettings
from hubtune.data.source import Source, read_source
from hubtune.data.store import Examples, Store
from tests.data.conftest import entry
from tests.sample_runs import write_json_lines


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, tokenizers) -> Source:
    rows = [{"prompt": f"Row {number} is", "completion": f" {'long ' * (number % 7)}."} for number in range(2500)]
    folder: Path = write_json_lines(tmp_path_factory.mktemp("rows"), rows)
    return read_source(PinnedData(entry(), folder), EncodingSettings(tokenizers["gpt2"], 16, ScreenConfig()))


def test_rows_are_read_in_the_order_of_their_places(source: Source):
    examples = Examples((source.store,), np.array([2400, 0, 0, 1999]))

    assert [example.text.split(" is")[0] for example in examples] == ["Row 2400", "Row 0", "Row 0", "Row 1999"]
    assert examples[-1] == source.kept[1999]
    assert list(examples[1:3]) == [source.kept[0], source.kept[0]]
    with pytest.raises(IndexError):
        examples[4]


def test_places_beyond_one_store_are_those_of_the_next(source: Source):
    both = Examples((source.store, source.store), np.array([3, 2503]))

    assert both[0] == both[1] == source.kept[3]
    assert both.lengths.tolist() == [len(both[0].input_ids)] * 2


def test_what_is_counted_of_the_rows_is_what_the_examples_hold(source: Source):
    examples = source.kept[100:300]

    assert examples.lengths.tolist() == [len(example.input_ids) for example in examples]
    assert examples.learned.tolist() == [example.learned for example in examples]
    assert examples.truncated.tolist() == [example.truncated for example in examples]
    assert examples.lengths.dtype == np.int64
    assert 0 < examples.truncated.sum() < 200


def test_examples_reach_another_process_as_their_places_alone(source: Source):
    packed = pickle.dumps(source.kept[:50])

    assert len(packed) < 2000
    assert pickle.loads(packed) == source.kept[:50]


def test_examples_differ_where_one_of_them_does(source: Source):
    assert source.kept[:5] == source.kept[:5]
    assert source.kept[:5] != source.kept[1:6]
    assert source.kept[:5] != source.kept[:4]


def test_classes_are_counted_as_often_as_their_rows_are_drawn(tmp_path: Path, tokenizers):
    rows = [{"text": f"Row {number}.", "label": "abc"[number % 3]} for number in range(9)]
    folder = write_json_lines(tmp_path, rows)
    store: Store = read_source(
        PinnedData(entry(), folder), EncodingSettings(tokenizers["bert"], 60, ScreenConfig())
    ).store

    assert Examples((store, store), np.array([0, 0, 1, 11])).label_counts(3).tolist() == [2, 1, 1]
