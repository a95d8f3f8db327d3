"""The published settings repeat and stop whatever the base's own say, and a completion is what the model wrote."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import GenerationConfig

from hubtune.errors import ConfigError, ModelError
from hubtune.models.generation import (
    MAX_NEW_TOKENS,
    complete,
    encode_prompt,
    ends_of_rows,
    generation_json,
    safe_generation_config,
    stop_tokens_beside,
)
from hubtune.models.pretrained import load_base, load_tokenizer
from hubtune.templating import chat as chat_templates
from tests.tiny_models import CONTEXT, make_say

NAME = "org/base"


@pytest.fixture
def copy(chat: Path, tmp_path: Path) -> Path:
    """A chat model to change."""
    return Path(shutil.copytree(chat, tmp_path / "base"))


def _settings(folder: Path) -> GenerationConfig:
    return safe_generation_config(folder, load_tokenizer(folder, NAME), NAME)


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **changes}))


def _stop_names(folder: Path) -> list[str]:
    return load_tokenizer(folder, NAME).convert_ids_to_tokens(_settings(folder).eos_token_id)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "chat"])
def test_the_settings_are_greedy_limited_by_the_context_and_pad_with_a_token_that_exists(tiny, kind: str):
    folder = tiny(kind)
    settings = _settings(folder)

    assert (settings.do_sample, settings.num_beams, settings.max_new_tokens) == (False, 1, CONTEXT // 2)
    assert 0 <= settings.pad_token_id < len(load_tokenizer(folder, NAME))
    settings.validate(strict=True)


def test_a_long_context_does_not_make_the_limit_longer(copy: Path):
    _edit(copy / "config.json", max_position_embeddings=32768)

    assert _settings(copy).max_new_tokens == MAX_NEW_TOKENS


def test_what_the_base_says_about_sampling_and_lengths_is_left_out_and_the_rest_kept(copy: Path):
    _edit(copy / "generation_config.json", max_length=20, min_new_tokens=3, max_time=1.0, suppress_tokens=[7])

    written = json.loads(generation_json(_settings(copy)))

    assert written == {
        "bos_token_id": 0,
        "do_sample": False,
        "eos_token_id": [0, 2],
        "max_new_tokens": CONTEXT // 2,
        "num_beams": 1,
        "pad_token_id": 0,
        "repetition_penalty": 1.05,
        "suppress_tokens": [7],
    }


def test_a_base_without_settings_has_those_of_its_config_as_in_transformers(copy: Path):
    (copy / "generation_config.json").unlink()
    _edit(copy / "config.json", eos_token_id=[0, 9], bos_token_id=4)

    settings = _settings(copy)

    assert (settings.bos_token_id, settings.eos_token_id) == (4, [0, 9, 2])
    assert load_base(copy, NAME, "fp32").generation_config.eos_token_id == [0, 9]


@pytest.mark.parametrize("content", ["not JSON", "[1]", '{"eos_token_id": "</s>"}', '{"early_stopping": "soon"}'])
def test_a_base_s_settings_that_cannot_be_used_are_told(copy: Path, content: str):
    (copy / "generation_config.json").write_text(content)

    for use in (_settings, lambda folder: load_base(folder, NAME, "fp32")):
        with pytest.raises(ModelError, match=f"generation_config.json of {NAME}"):
            use(copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sequence_bias", [[[1, 2], -1.0]] * 20_000),
        ("bad_words_ids", [[1, 2]] * 20_000),
        ("suppress_tokens", [1] * 100_000),
        ("eos_token_id", [2] * 100_000),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_lists_that_would_make_each_token_take_seconds_are_refused(copy: Path, key: str, value: list[object]):
    _edit(copy / "generation_config.json", **{key: value})

    with pytest.raises(
        ModelError, match=f"`{key}` in generation_config.json of {NAME} .* the list has to have at most"
    ):
        load_base(copy, NAME, "fp32")


def test_of_a_base_s_settings_only_what_is_known_is_used(copy: Path):
    """generate() takes from a model's own settings whatever it is not told: caches, code, models and more."""
    _edit(
        copy / "generation_config.json",
        repetition_penalty=1.5,
        temperature=0.5,
        custom_generate="org/evil",
        trust_remote_code=True,
        assistant_model="org/other",
        prompt_lookup_num_tokens=3,
        assistant_early_exit=1,
        cache_implementation="static",
        watermarking_config={"bias": 9.0},
        return_dict_in_generate=True,
        num_return_sequences=3,
        penalty_alpha=0.6,
        top_k=4,
        dola_layers="high",
        stop_strings=["a"],
        max_time=0.001,
        guidance_scale=3.0,
        validate="no",
    )

    model = load_base(copy, NAME, "fp32")

    before = GenerationConfig().to_dict()
    stated = {key: value for key, value in model.generation_config.to_dict().items() if value != before.get(key)}
    known = {"bos_token_id", "eos_token_id", "pad_token_id", "do_sample", "repetition_penalty", "temperature", "top_k"}
    assert stated.keys() <= {*known, "top_p"}
    assert stated["repetition_penalty"] == 1.5
    tokenizer = load_tokenizer(copy, NAME)
    assert complete(model, tokenizer, [5, 6], 3).tokens <= 3


def test_the_token_that_ends_a_turn_in_the_chat_template_stops_beside_eos(chat: Path):
    assert _stop_names(chat) == ["<|endoftext|>", "<|im_end|>"]


def test_the_stop_tokens_of_the_base_are_kept_each_once(copy: Path):
    _edit(copy / "generation_config.json", eos_token_id=[1, 0])

    assert _settings(copy).eos_token_id == [0, 1, 2]


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('no assistant, please') }}",
        "{{ messages.nothing.at_all }}",
        "hello",
        "{% for message in messages %}{{ message['content'] }}\n{% endfor %}",
        "<|im_end|>{% for message in messages %}{{ message['content'] }} and so on {% endfor %}",
    ],
)
def test_a_template_that_ends_turns_with_no_token_of_its_own_adds_no_stop_token(copy: Path, template: str):
    (copy / "chat_template.jinja").write_text(template)

    assert _stop_names(copy) == ["<|endoftext|>"]


def test_a_line_end_that_is_an_added_token_does_not_stop(copy: Path):
    tokenizer = load_tokenizer(copy, NAME)
    tokenizer.add_tokens(["\n"])
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}\n<|im_end|>{% endfor %}"

    assert safe_generation_config(copy, tokenizer, NAME).eos_token_id == [0, 2]


def test_a_turn_s_end_that_is_added_and_not_special_stops(copy: Path):
    tokenizer = load_tokenizer(copy, NAME)
    tokenizer.add_tokens(["<turn_end>"])
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}<turn_end>\n{% endfor %}"

    assert tokenizer.convert_ids_to_tokens(safe_generation_config(copy, tokenizer, NAME).eos_token_id) == [
        "<|endoftext|>",
        "<turn_end>",
    ]


@pytest.mark.parametrize("refused", ["messages[0].role != 'system'", "messages[0].role == 'system'"])
def test_a_template_that_needs_a_system_message_or_refuses_one_ends_turns_all_the_same(copy: Path, refused: str):
    (copy / "chat_template.jinja").write_text(
        f"{{% if {refused} %}}{{{{ raise_exception('no') }}}}{{% endif %}}"
        "{% for message in messages %}{{ message['content'] }}<|im_end|>\n{% endfor %}"
    )

    assert _stop_names(copy) == ["<|endoftext|>", "<|im_end|>"]


def test_the_template_of_the_config_counts_before_the_tokenizer_s(copy: Path):
    tokenizer = load_tokenizer(copy, NAME)
    template = "{% for message in messages %}{{ message['content'] }}<|im_start|>{% endfor %}"

    assert safe_generation_config(copy, tokenizer, NAME, template=template).eos_token_id == [0, 1]


def test_what_rows_end_with_stops_where_it_steers_the_model(copy: Path):
    tokenizer = load_tokenizer(copy, NAME)

    ends = ends_of_rows(tokenizer, [[5, 2], [6, 2], [7, 1], [8, 9], []])

    assert ends == [2, 1]
    (copy / "chat_template.jinja").unlink()
    bare = load_tokenizer(copy, NAME)
    settings = safe_generation_config(copy, bare, NAME, ends=ends)
    assert settings.eos_token_id == [0, 2, 1]
    settings.save_pretrained(copy)
    assert stop_tokens_beside(copy) == [0, 2, 1]
    (copy / "generation_config.json").write_text("no JSON")
    assert stop_tokens_beside(copy) == []


def test_a_template_that_exceeds_a_limit_is_named_and_ends_no_turn(copy: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chat_templates, "LIMITS", replace(chat_templates.LIMITS, seconds=0.3))
    (copy / "chat_template.jinja").write_text(
        "{% for a in messages * 99999 %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    )

    assert _stop_names(copy) == ["<|endoftext|>"]
    with pytest.raises(ModelError, match=r"chat template of org/base cannot be rendered: it takes more than 0\.3 s"):
        encode_prompt(load_tokenizer(copy, NAME), "Where?", chat=True, name=NAME)


def _ready(folder: Path):
    tokenizer, model = load_tokenizer(folder, NAME), load_base(folder, NAME, "fp32")
    model.generation_config = safe_generation_config(folder, tokenizer, NAME)
    return model, tokenizer


def test_a_prompt_is_completed_the_same_way_twice_though_the_base_samples(chat: Path):
    model, tokenizer = _ready(chat)
    ids = encode_prompt(tokenizer, "The baker", chat=False, name=NAME)

    first, second = complete(model, tokenizer, ids, 20), complete(model, tokenizer, ids, 20)

    assert first == second
    assert first.text


def test_the_end_of_a_turn_ends_the_text_and_is_not_part_of_it(copy: Path):
    words = load_tokenizer(copy, NAME)(" keeps the light")["input_ids"]
    make_say(copy, [*words, 2])
    model, tokenizer = _ready(copy)

    made = complete(model, tokenizer, encode_prompt(tokenizer, "The keeper", chat=True, name=NAME), 40)

    assert (made.text, made.tokens, made.stop_reason) == (" keeps the light", len(words) + 1, "stop token")


def test_a_stop_token_among_a_base_s_own_would_not_have_ended_it(copy: Path):
    """What the test before this one shows is due to the settings."""
    make_say(copy, [9, 2])
    model, tokenizer = _ready(copy)
    model.generation_config = GenerationConfig.from_pretrained(copy)

    assert complete(model, tokenizer, [5], 6).stop_reason == "length"


def test_the_limit_ends_the_text(copy: Path):
    make_say(copy, [9, 10])
    model, tokenizer = _ready(copy)

    made = complete(model, tokenizer, [5, 6], 3)

    assert (made.text, made.tokens, made.stop_reason) == (tokenizer.decode([9, 10, 10]), 3, "length")


def test_the_space_before_the_first_word_is_kept_where_decoding_would_drop_it(copy: Path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    make_say(copy, [3, 0])
    model, _ = _ready(copy)
    words = Tokenizer(models.WordLevel({"</s>": 0, "<unk>": 1, "▁The": 2, "▁baker": 3}, unk_token="<unk>"))
    words.pre_tokenizer, words.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", unk_token="<unk>")

    assert tokenizer.decode([3]) == "baker"
    assert complete(model, tokenizer, encode_prompt(tokenizer, "The", chat=False, name=NAME), 5).text == " baker"


def test_a_raw_prompt_begins_as_the_tokenizer_begins_a_text(llama: Path):
    tokenizer = load_tokenizer(llama, NAME)

    assert encode_prompt(tokenizer, "The baker", chat=False, name=NAME) == tokenizer("The baker")["input_ids"]
    assert encode_prompt(tokenizer, "The baker", chat=False, name=NAME)[0] == tokenizer.bos_token_id


def test_a_raw_prompt_does_not_end_with_the_eos_that_a_tokenizer_puts_after_a_text(llama: Path):
    from tokenizers.processors import TemplateProcessing

    tokenizer = load_tokenizer(llama, NAME)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.eos_token_id)]
    )

    assert tokenizer("baker")["input_ids"][-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in encode_prompt(tokenizer, "baker", chat=False, name=NAME)


def test_a_chat_prompt_is_a_user_s_turn_and_the_beginning_of_the_answer(chat: Path):
    tokenizer = load_tokenizer(chat, NAME)

    ids = encode_prompt(tokenizer, "Where?", chat=True, name=NAME)

    assert tokenizer.decode(ids) == "<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n"


def test_a_chat_without_a_template_is_refused(gpt2: Path):
    with pytest.raises(ConfigError, match="org/base has no chat template") as caught:
        encode_prompt(load_tokenizer(gpt2, NAME), "Where?", chat=True, name=NAME)

    assert "--chat" in str(caught.value.hint)


def test_a_chat_with_templates_of_which_none_is_the_default_one_is_refused_by_their_names(copy: Path):
    (copy / "chat_template.jinja").unlink(missing_ok=True)
    (copy / "additional_chat_templates").mkdir()
    for name in ("rag", "tool_use"):
        (copy / f"additional_chat_templates/{name}.jinja").write_text("{{ messages }}")
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": None}))

    with pytest.raises(ConfigError, match=r"org/base has chat templates .*\(rag, tool_use\) and none"):
        encode_prompt(load_tokenizer(copy, NAME), "Where?", chat=True, name=NAME)


def test_a_template_that_refuses_the_prompt_is_told(copy: Path):
    (copy / "chat_template.jinja").write_text("{{ raise_exception('a system turn is needed') }}")

    with pytest.raises(ModelError, match="a system turn is needed"):
        encode_prompt(load_tokenizer(copy, NAME), "Where?", chat=True, name=NAME)
