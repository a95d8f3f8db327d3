"""Rows become texts, and every row is either a text or counted with a reason."""

from hubtune.data.texts import render_rows


def test_a_template_is_filled_from_each_row_in_order():
    rows = [{"author": "Ann", "quote": "Yes.", "tags": "x"}, {"author": "Bob", "quote": "No.", "tags": "y"}]

    assert render_rows(rows, "Quote by {author}: {quote}").kept == ["Quote by Ann: Yes.", "Quote by Bob: No."]


def test_numbers_are_written_and_falsy_values_are_not_missing():
    assert render_rows([{"n": 0, "ok": False}], "{n} {ok}").kept == ["0 False"]


def test_braces_in_the_data_stay_text():
    rows = [{"quote": "{quote.__class__} {0} }{"}]

    assert render_rows(rows, "Q: {quote} {{kept}}").kept == ["Q: {quote.__class__} {0} }{ {kept}"]


def test_kept_and_dropped_rows_add_up_to_the_rows_read():
    rows = [
        {"a": "one", "b": "two"},
        {"a": None, "b": "two"},
        {"a": "one", "b": ""},
        {"a": " \n\t", "b": "two"},
        {"a": None, "b": " "},
    ]

    texts = render_rows(rows, "{a} {b}")

    assert texts.dropped == {"a field is null": 2, "a field is blank": 2}
    assert texts.rows == len(texts.kept) + sum(texts.dropped.values()) == 5


def test_a_null_in_a_column_that_the_template_does_not_use_drops_nothing():
    assert render_rows([{"a": "x", "b": None}], "{a}").kept == ["x"]


def test_the_prompt_is_the_first_kept_text_up_to_its_last_field():
    rows = [{"author": None, "quote": "-"}, {"author": "Ann", "quote": "Yes."}, {"author": "Bob", "quote": "No."}]

    assert render_rows(rows, "Quote by {author}: {quote}").prompt == "Quote by Ann:"


def test_a_template_of_one_field_has_no_prompt():
    assert render_rows([{"quote": "Yes."}], "Quote: {quote}").prompt is None


def test_the_fingerprint_tells_where_one_text_ends_and_the_next_begins():
    fingerprints = {
        render_rows([{"t": text} for text in texts], "{t}").fingerprint
        for texts in (["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"])
    }

    assert len(fingerprints) == 4
