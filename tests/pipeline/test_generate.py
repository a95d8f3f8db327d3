"""A release completes a prompt from its published files, and says what it came from and why it stopped."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from hubtune.cli.app import app
from hubtune.errors import ConfigError, ModelError
from hubtune.pipeline.generate import Prompt, generate
from tests.sample_releases import BASE, RELEASE, TAG, release_adapter, tag_release
from tests.tiny_models import CONTEXT, make_say

WORDS = " keeps the light"


@pytest.fixture
def speaker(served, chat: Path, tmp_path: Path) -> Path:
    """A release of merged weights that answers every prompt with `WORDS` and ends its turn."""
    from hubtune.models.pretrained import load_tokenizer

    folder = Path(shutil.copytree(chat, tmp_path / "speaker"))
    (folder / "generation_config.json").unlink()
    make_say(folder, [*load_tokenizer(folder, BASE)(WORDS)["input_ids"], 2])
    tag_release(served, {path.name: path.read_bytes() for path in folder.iterdir()})
    return folder


def test_an_adapter_writes_what_peft_and_transformers_write_with_its_published_settings(
    served, gpt2: Path, tmp_path: Path, listener
):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    from hubtune.models.precision import choose_precision, dtype_of

    made = release_adapter(served, gpt2, tmp_path)

    record = generate(RELEASE, TAG, Prompt("The baker"), listener)

    tokenizer = AutoTokenizer.from_pretrained(gpt2)
    base = AutoModelForCausalLM.from_pretrained(gpt2, dtype=dtype_of(choose_precision("auto")))
    model = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))
    model.generation_config = GenerationConfig.from_pretrained(tmp_path / "adapter")
    written = model.generate(**tokenizer("The baker", return_tensors="pt"))[0]
    assert tokenizer.decode(written, skip_special_tokens=True) == "The baker" + record.completion
    assert (record.repo, record.commit) == (RELEASE, made.commit)
    assert (record.base, record.base_commit) == (BASE, made.base_commit)
    assert generate(RELEASE, made.commit, Prompt("The baker"), listener) == record


def test_a_stop_token_ends_the_completion(served, speaker: Path, listener):
    record = generate(RELEASE, TAG, Prompt("The keeper", chat=True), listener)

    assert (record.completion, record.stop_reason, record.chat) == (WORDS, "stop token", True)
    assert (record.base, record.base_commit) == (None, None)


def test_the_limit_that_was_asked_for_ends_it_earlier(served, speaker: Path, listener):
    record = generate(RELEASE, TAG, Prompt("The keeper", max_new_tokens=1), listener)

    assert (record.tokens, record.stop_reason) == (1, "length")
    assert WORDS.startswith(record.completion)


@pytest.mark.parametrize(("prompt", "words"), [("", "is empty"), (" \n", "is empty"), ("\udce9", "not text in UTF-8")])
def test_a_prompt_that_is_none_is_refused_before_the_hub_is_asked(served, listener, prompt: str, words: str):
    with pytest.raises(ConfigError, match=words):
        generate(RELEASE, TAG, Prompt(prompt), listener)

    assert served.requests() == []


def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(served, speaker: Path, listener):
    with pytest.raises(ConfigError, match=rf"The prompt has {CONTEXT} tokens, and lab/tuned reads {CONTEXT} at once"):
        generate(RELEASE, TAG, Prompt("\x01" * CONTEXT), listener)


def test_more_new_tokens_than_there_is_room_for_are_refused_with_how_many_there_is(served, speaker: Path, listener):
    with pytest.raises(ConfigError, match="100 tokens and 60 new ones") as caught:
        generate(RELEASE, TAG, Prompt("\x01" * 100, max_new_tokens=60), listener)

    assert caught.value.hint == "There is room for 28: --max-new-tokens 28"


def test_the_release_s_own_limit_gives_way_to_the_context(served, speaker: Path, listener):
    make_say(speaker, [5, 6])
    commit = served.commit(RELEASE, {"model.safetensors": (speaker / "model.safetensors").read_bytes()})

    record = generate(RELEASE, commit, Prompt("\x01" * (CONTEXT - 3)), listener)

    assert (record.tokens, record.stop_reason) == (3, "length")


def test_no_code_model_or_file_that_a_release_s_files_name_has_a_part_in_it(
    served, gpt2: Path, tmp_path: Path, listener
):
    release_adapter(served, gpt2, tmp_path)
    expected = generate(RELEASE, TAG, Prompt("The baker"), listener)
    ran = f"open({str(tmp_path / 'ran')!r}, 'w').close()\ndef generate(model, **kwargs): return kwargs['input_ids']\n"
    code = {"custom_generate/generate.py": ran.encode(), "evil.py": ran.encode()}
    for repo in ("evil/code", "evil/model"):
        served.commit(repo, {**code, "config.json": b"{}"})
    named = {
        "custom_generate": "evil/code",
        "trust_remote_code": True,
        "auto_map": {"AutoModelForCausalLM": "evil/code--evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"]},
        "assistant_model": "evil/model",
        "prompt_lookup_num_tokens": 3,
        "watermarking_config": {"bias": 9.0},
        "cache_implementation": "static",
        "compile_config": {"backend": "evil"},
        "use_mtp": True,
        "penalty_alpha": 0.6,
        "top_k": 4,
        "num_beam_groups": 2,
        "return_dict_in_generate": True,
    }
    edited = {"adapter_model.safetensors": (tmp_path / "adapter/adapter_model.safetensors").read_bytes()}
    for name in ("generation_config.json", "tokenizer_config.json"):
        folder = tmp_path / "adapter" if (tmp_path / "adapter" / name).is_file() else gpt2
        edited[name] = json.dumps({**json.loads((folder / name).read_text()), **named}).encode()
    commit = served.commit(RELEASE, {**edited, **code})

    record = generate(RELEASE, commit, Prompt("The baker"), listener)

    assert record.completion == expected.completion
    assert not (tmp_path / "ran").exists()
    assert "evil/" not in str([line["path"] for line in served.requests()[4:] if line["method"] == "GET"])


def test_an_adapter_beside_the_weights_of_a_release_is_refused_before_they_are_fetched(served, speaker: Path, listener):
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "org/other"}
    commit = served.commit(RELEASE, {"adapter_config.json": json.dumps(adapter).encode()})

    with pytest.raises(ModelError, match=f"{RELEASE} at {commit} holds an adapter beside"):
        generate(RELEASE, commit, Prompt("The keeper"), listener)

    assert "model.safetensors" not in str(served.requests()[-3:])
    assert "org/other" not in str(served.requests())


def test_an_adapter_beside_the_base_of_a_release_is_refused(served, gpt2: Path, tmp_path: Path, listener):
    release_adapter(served, gpt2, tmp_path)
    named = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    other = json.dumps({"peft_type": "LORA", "base_model_name_or_path": "org/other"}).encode()
    named["revision"] = served.commit(BASE, {"adapter_config.json": other})
    commit = served.commit(RELEASE, {"adapter_config.json": json.dumps(named).encode()})

    with pytest.raises(ModelError, match=f"{BASE} at [0-9a-f]+ holds an adapter beside"):
        generate(RELEASE, commit, Prompt("The baker"), listener)


def test_the_command_reads_a_prompt_from_stdin_and_prints_the_completion_alone(served, speaker: Path):
    shown = CliRunner().invoke(app, ["--quiet", "generate", f"{RELEASE}@{TAG}", "-"], input="The keeper\n")

    assert (shown.exit_code, shown.stdout) == (0, WORDS + "\n"), shown


def test_the_command_s_json_has_the_prompt_from_stdin_without_its_line_end(served, speaker: Path):
    arguments = ["--json", "generate", f"{RELEASE}@{TAG}", "-", "--chat"]
    shown = CliRunner().invoke(app, arguments, input="The keeper\nof the light\n")

    document = json.loads(shown.stdout)
    assert (document["prompt"], document["completion"]) == ("The keeper\nof the light", WORDS)


@pytest.mark.parametrize("name", [RELEASE, f"{RELEASE}@", f"@{TAG}"])
def test_a_release_without_a_revision_is_a_usage_error(name: str):
    shown = CliRunner().invoke(app, ["generate", name, "The keeper"])

    assert shown.exit_code == 2
    assert "REPO@TAG" in shown.stderr
