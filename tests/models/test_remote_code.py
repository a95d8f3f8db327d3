"""Python code in a base's repository is run for the commit that was allowed, and for no other."""

import json
import sys
from pathlib import Path

import pytest
import torch

from hubtune.errors import RecordError, RemoteCodeError
from hubtune.models.classifier import Classes, load_classifier
from hubtune.models.pretrained import context_length, load_base
from hubtune.models.remote_code import CodeConsent, check_code, permit
from tests.remote_code import AUTO_MAP, make_lantern
from tests.tiny_models import CONTEXT

COMMIT, ANOTHER = "c" * 40, "d" * 40
FILES = ("config.json", "configuration_lantern.py", "modeling_lantern.py")
LANTERN = {"model_type": "lantern", "auto_map": AUTO_MAP}
LLAMA = {"model_type": "llama", "auto_map": {"AutoModel": "old.Llama"}}


def _lantern(**places: object) -> dict[str, object]:
    return {**LANTERN, "auto_map": {**AUTO_MAP, **places}}


@pytest.mark.parametrize(
    ("facts", "allowed", "said"),
    [
        (LANTERN, None, f"org/base at {COMMIT} needs Python code from its repository .* not run unless it is allowed"),
        (LANTERN, ANOTHER, f"code of org/base at {ANOTHER} is allowed, and the model is pinned to {COMMIT}"),
        (LLAMA, COMMIT, f"org/base at {COMMIT} needs no code"),
        (_lantern(AutoConfig="org/code--configuration_lantern.LanternConfig"), COMMIT, "takes its code from elsewhere"),
        (_lantern(AutoConfig="/proc/self/cwd/lantern.LanternConfig"), COMMIT, "takes its code from elsewhere"),
        (_lantern(AutoModelForCausalLM="../lantern.Lantern"), COMMIT, "takes its code from elsewhere"),
        (_lantern(AutoModelForCausalLM=["lantern.Lantern"]), COMMIT, "takes its code from elsewhere"),
        (_lantern(AutoConfig="other.LanternConfig"), COMMIT, r"lacks other\.py"),
        ({**LANTERN, "auto_map": {"AutoModel": "lantern.Lantern"}}, COMMIT, "is not that of a causal language model"),
        ({**LANTERN, "auto_map": "lantern.Lantern"}, COMMIT, "is not that of a causal language model"),
        ({**LANTERN, "model_type": ["lantern"]}, None, "needs Python code"),
    ],
)
def test_code_that_may_not_or_need_not_be_run_is_refused(facts, allowed, said):
    with pytest.raises(RemoteCodeError, match=said) as refused:
        check_code(facts, "org/base", COMMIT, CodeConsent(allowed), FILES)

    assert refused.value.hint


@pytest.mark.parametrize(
    ("facts", "allowed"),
    [
        (LANTERN, COMMIT),
        # A tokenizer's code is never run, wherever it is.
        (_lantern(AutoTokenizer=["org/code--t.T", None]), COMMIT),
        # The code of a Llama is left alone: transformers has the architecture itself.
        (LLAMA, None),
        ({"model_type": "llama"}, None),
    ],
)
def test_code_that_is_allowed_or_not_needed_passes(facts, allowed):
    check_code(facts, "org/base", COMMIT, CodeConsent(allowed), FILES)


def test_without_transformers_the_commit_alone_can_be_checked(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)

    check_code(LANTERN, "org/base", COMMIT, CodeConsent(COMMIT))
    check_code(LANTERN, "org/base", COMMIT, CodeConsent(None))
    with pytest.raises(RemoteCodeError, match="is pinned to"):
        check_code(LANTERN, "org/base", COMMIT, CodeConsent(ANOTHER))


def test_permitted_code_makes_the_model(tmp_path: Path):
    folder = make_lantern(tmp_path / "lantern", tmp_path / "ran")
    permit(folder, "org/lantern", COMMIT, CodeConsent(COMMIT))

    model = load_base(folder, "org/lantern", "fp32")

    assert type(model).__name__ == "LanternForCausalLM"
    assert (tmp_path / "ran").exists()
    ids = torch.tensor([[5, 6, 7]])
    plain = type(model).__mro__[1].forward(model, input_ids=ids).logits
    assert torch.equal(model(input_ids=ids).logits, 0.5 * plain)


def test_permission_is_for_one_folder(tmp_path: Path):
    permit(make_lantern(tmp_path / "one", tmp_path / "ran"), "org/lantern", COMMIT, CodeConsent(COMMIT))
    other = make_lantern(tmp_path / "two", tmp_path / "ran")

    with pytest.raises(RemoteCodeError, match=r"org/lantern needs Python code"):
        load_base(other, "org/lantern", "fp32")

    assert context_length(other, "org/lantern") == CONTEXT
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("code", ["raise TypeError('made for transformers 4')", "import no_such_package", "1 +"])
def test_code_that_fails_is_an_error_that_says_so(tmp_path: Path, code: str):
    folder = make_lantern(tmp_path / "lantern", tmp_path / "ran")
    (folder / "modeling_lantern.py").write_text(f"{code}\n")
    permit(folder, "org/lantern", COMMIT, CodeConsent(COMMIT))

    with pytest.raises(RemoteCodeError, match=r"org/lantern cannot be loaded as a causal language model") as refused:
        load_base(folder, "org/lantern", "fp32")

    assert "another version of transformers" in str(refused.value.hint)


def test_what_the_code_prints_goes_to_stderr(tmp_path: Path, capsys):
    folder = make_lantern(tmp_path / "lantern", tmp_path / "ran")
    code = folder / "modeling_lantern.py"
    code.write_text("print('flash attention is not available')\n" + code.read_text())
    permit(folder, "org/lantern", COMMIT, CodeConsent(COMMIT))

    load_base(folder, "org/lantern", "fp32")

    printed = capsys.readouterr()
    assert "flash attention" in printed.err
    assert printed.out == ""


def test_a_snapshot_that_has_lost_its_code_is_to_be_fetched_again(tmp_path: Path):
    folder = make_lantern(tmp_path / "lantern", tmp_path / "ran")
    (folder / "modeling_lantern.py").unlink()

    with pytest.raises(RecordError, match=r"such as modeling_lantern\.py") as refused:
        permit(folder, "org/lantern", COMMIT, CodeConsent(COMMIT))

    assert "hubtune pin" in str(refused.value.hint)


def test_the_context_is_what_the_code_says_where_it_may_be_run_and_else_what_the_config_states(tmp_path: Path):
    folder = make_lantern(tmp_path / "lantern", tmp_path / "ran")
    config = json.loads((folder / "config.json").read_text())
    config["places"] = config.pop("max_position_embeddings") - 1
    (folder / "config.json").write_text(json.dumps(config))
    configuration = folder / "configuration_lantern.py"
    named = '    model_type = "lantern"\n    attribute_map = {"max_position_embeddings": "places"}\n'
    configuration.write_text(configuration.read_text().replace('    model_type = "lantern"\n', named))

    assert context_length(folder, "org/lantern") is None
    permit(folder, "org/lantern", COMMIT, CodeConsent(COMMIT))

    assert context_length(folder, "org/lantern") == CONTEXT - 1


def test_a_classifier_s_code_is_not_run(tmp_path: Path):
    folder = make_lantern(tmp_path / "lantern", tmp_path / "ran")
    permit(folder, "org/lantern", COMMIT, CodeConsent(COMMIT))

    with pytest.raises(RemoteCodeError, match="for models that write text, not for classifiers"):
        load_classifier(folder, "org/lantern", "fp32", Classes(("a", "b"), several=False, pad_id=0))

    assert not (tmp_path / "ran").exists()
