import pytest


@pytest.mark.parametrize("script", ["hub_functions.py", "hub_community.py", "hub_file_system.py"])
def test_huggingface_hub_works_unchanged(run_script, script):
    assert run_script(script).strip().endswith("done")
