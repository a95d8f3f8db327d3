import pytest


@pytest.mark.parametrize("library", ["transformers", "peft"])
def test_a_model_is_pushed_and_loaded_from_the_hub(run_script, gpt2, library):
    pytest.importorskip(library)
    assert run_script(f"{library}_calls.py", gpt2).strip().endswith("done")
