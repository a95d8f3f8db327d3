"""A chat template that exceeds a limit stops the run with the row's number; one that is none is refused before."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hubtune.config.data import ScreenConfig
from hubtune.data.data_files import PinnedData
from hubtune.data.row_batches import EncodingSettings
from hubtune.data.source import Source, read_source
from hubtune.data.tokenization import Encoder
from hubtune.errors import ConfigError, DataError, ModelError
from hubtune.templating import chat as templates
from tests.data.conftest import chat, entry
from tests.tiny_tokenizers import CHATML, KINDS

_LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
HUNG = {"{{ m.content * 10**9 }}": "512 MiB of memory", _LOOPS: "0.5 s of processor time"}


def on_row(number: int, work: str) -> str:
    """A template that works on one row alone, counted from 1."""
    return CHATML + f"{{% for m in messages %}}{{% if m.content == 'Oil {number}?' %}}{work}{{% endif %}}{{% endfor %}}"


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "LIMITS", replace(templates.LIMITS, seconds=0.5))


@pytest.fixture
def source(tmp_path: Path):
    """Reads a file of conversations with a tokenizer that has a template."""

    def read(
        own: str | dict[str, str] | None,
        given: str | None = None,
        *,
        rows: int = 40,
        workers: int = 1,
        tools: int | None = None,
    ) -> Source:
        tokenizer = KINDS["qwen"]()
        tokenizer.chat_template = own
        place = tmp_path / "talks.jsonl"
        # The second line is no row that a template is given.
        talks = [json.dumps(chat(("user", f"Oil {number}?"), ("assistant", "Yes."))) for number in range(1, rows + 1)]
        if tools is not None:
            talks[tools - 1] = json.dumps(
                chat(("user", "Oil?"), ("assistant", "Yes."), tools=[{"type": "function", "function": {"name": "oil"}}])
            )
        place.write_text("\n".join([talks[0], json.dumps({"messages": []}), *talks[2:]]) + "\n")
        config = entry(repo=None, path="talks.jsonl", format="chat", chat_template=given)
        return read_source(PinnedData(config, place), EncodingSettings(tokenizer, 200, ScreenConfig()), workers=workers)

    return read


@pytest.mark.parametrize("work", list(HUNG))
@pytest.mark.parametrize("given", [False, True], ids=["base", "config"])
def test_the_row_and_the_limit_are_named(source, strict, work: str, given: bool):
    template = on_row(17, work)

    with pytest.raises(DataError) as caught:
        source(CHATML if given else template, template if given else None)

    assert str(caught.value) == (
        f"Row 17 of talks.jsonl cannot be written: the chat template takes more than {HUNG[work]} for it."
    )
    assert "data[].chat_template" in str(caught.value.hint)


def test_the_row_is_named_in_the_second_batch_and_from_another_process(source):
    for workers in (1, 2):
        with pytest.raises(DataError, match=r"^Row 1,503 of talks.jsonl cannot be written: .* 512 MiB of memory"):
            source(on_row(1503, "{{ m.content * 10**9 }}"), rows=2100, workers=workers)


def test_processes_that_encode_rows_have_templates_written_too(source):
    one, two = (source(CHATML, rows=2100, workers=workers) for workers in (1, 2))

    assert one.fingerprint == two.fingerprint
    assert len(two.kept) == 2099


@pytest.mark.parametrize("template", ["{% for m in messages %}", "{{ 'x' * 3000000000 }}", "{{ x | nothing }}"])
def test_a_template_that_is_none_is_refused_by_where_it_stands(source, template: str):
    with pytest.raises(ConfigError, match="chat template of the config cannot be used"):
        source(CHATML, template)
    with pytest.raises(ModelError, match="chat template of the base model's tokenizer cannot be used"):
        source(template)


def test_a_base_whose_template_hangs_is_named_as_such_where_its_tokens_are_looked_for(source, strict):
    with pytest.raises(ModelError, match=r"chat template of the base model's tokenizer .*takes more than 0\.5 s"):
        source(_LOOPS)


def test_texts_need_no_template_and_are_encoded_whatever_the_base_s_does(strict):
    plain, hanging = KINDS["qwen"](), KINDS["qwen"]()
    hanging.chat_template = _LOOPS + "<tool_call>"

    assert "<tool_call>" in hanging.get_added_vocab()
    for tokenizer in (plain, hanging):
        Encoder(tokenizer, 100)


def test_a_template_that_is_slow_for_every_row_is_refused_and_not_run_for_days(source, monkeypatch):
    monkeypatch.setattr(templates, "LIMITS", replace(templates.LIMITS, pace=0))

    with pytest.raises(
        DataError, match=r"^The rows of talks.jsonl cannot be written: the chat template takes .* most of"
    ):
        source(CHATML)


def test_of_several_templates_the_default_one_writes_rows_and_rows_with_tools_are_refused(source):
    others = {"default": CHATML, "tool_use": "{{ 'x' * 10**9 }}", "rag": "{% for m in messages %}"}
    assert source(others).fingerprint == source(CHATML).fingerprint
    with pytest.raises(DataError, match=r"^Row 17 of talks.jsonl has tools, and .* tool_use") as caught:
        source(others, tools=17)
    assert "data[].chat_template" in str(caught.value.hint)
    source({"default": CHATML, "rag": "r"}, tools=17)
    source(others, CHATML, tools=17)


def test_several_templates_without_a_default_one_are_refused_by_their_names(source):
    named = {"tool_use": CHATML, "rag": CHATML}
    with pytest.raises(ConfigError, match=r"tokenizer has chat templates .*\(rag, tool_use\) and none .* default"):
        source(named)
    source(named, CHATML)
