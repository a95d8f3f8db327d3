"""Python code in a base's repository is run for the commit that was allowed, and for no other."""

from pathlib import Path

import pytest
import torch

from hubtune.errors import ModelError
from hubtune.models.load import context_length, load_base
from hubtune.models.remote_code import check_code, permit
from tests.remote_code import AUTO_MAP, make_lantern
from tests.tiny_models import CONTEXT

COMMIT, ANOTHER = "c" * 40, "d" * 40
LANTERN = {"model_type": "lantern", "auto_map": AUTO_MAP}
LLAMA = {"model_type": "llama", "auto_map": {"AutoModel": "old.Llama"}}


@pytest.mark.parametrize(
    ("facts", "allowed", "said"),
    [
        (LANTERN, None, f"org/base at {COMMIT} needs Python code from its repository .* not run unless it is allowed"),
        (LANTERN, ANOTHER, f"code of org/base at {ANOTHER} is allowed, and the model is pinned to {COMMIT}"),
        (LLAMA, COMMIT, f"org/base at {COMMIT} needs no code"),
        (
            {**LANTERN, "auto_map": {**AUTO_MAP, "AutoConfig": "org/code--configuration_lantern.LanternConfig"}},
            COMMIT,
            "takes its code from another repository, org/code",
        ),
        ({**LANTERN, "auto_map": {"AutoModel": "lantern.Lantern"}}, COMMIT, "has no causal language model"),
        ({**LANTERN, "auto_map": "lantern.Lantern"}, COMMIT, "has no causal language model"),
    ],
)
def test_code_that_may_not_or_need_not_be_run_is_refused(facts, allowed, said):
    with pytest.raises(ModelError, match=said) as refused:
        check_code(facts, "org/base", COMMIT, allowed)

    assert refused.value.hint


@pytest.mark.parametrize(
    ("facts", "allowed"),
    # The code of a Llama is left alone: transformers has the architecture itself.
    [(LANTERN, COMMIT), (LLAMA, None), ({"model_type": "llama"}, None)],
)
def test_code_that_is_allowed_or_not_needed_passes(facts, allowed):
    check_code(facts, "org/base", COMMIT, allowed)


def test_permitted_code_makes_the_model(tmp_path: Path):
    folder = make_lantern(tmp_path / "lantern", tmp_path / "ran")
    permit(folder)

    model = load_base(folder, "org/lantern", "fp32")

    assert type(model).__name__ == "LanternForCausalLM"
    assert (tmp_path / "ran").exists()
    ids = torch.tensor([[5, 6, 7]])
    plain = type(model).__mro__[1].forward(model, input_ids=ids).logits
    assert torch.equal(model(input_ids=ids).logits, 0.5 * plain)


def test_permission_is_for_one_folder(tmp_path: Path):
    permit(make_lantern(tmp_path / "one", tmp_path / "ran"))
    other = make_lantern(tmp_path / "two", tmp_path / "ran")

    with pytest.raises(ModelError, match=r"org/lantern needs Python code"):
        load_base(other, "org/lantern", "fp32")

    assert context_length(other, "org/lantern") == CONTEXT
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("code", ["raise TypeError('made for transformers 4')", "import no_such_package", "1 +"])
def test_code_that_fails_is_an_error_that_says_so(tmp_path: Path, code: str):
    folder = make_lantern(tmp_path / "lantern", tmp_path / "ran")
    (folder / "modeling_lantern.py").write_text(f"{code}\n")
    permit(folder)

    with pytest.raises(ModelError, match=r"org/lantern cannot be loaded as a causal language model") as refused:
        load_base(folder, "org/lantern", "fp32")

    assert "another version of transformers" in str(refused.value.hint)
