"""`hub import` looks through what it is about to send, as publishing does."""

import pytest

from hubtune.errors import SecretFoundError
from hubtune.pipeline.hub_import import ImportTarget, import_source
from tests.listener import Listener

# Of no form that secrets have, so that it is found only because it is in use.
TOKEN = "odd-secret/with+signs"


@pytest.mark.parametrize("name", ["README.md", "data/rows.jsonl"])
def test_the_token_in_use_is_found_before_any_hub_is_asked(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(f'{{"text": "fine"}}\n{{"text": "{TOKEN}"}}\n')
    with pytest.raises(SecretFoundError) as caught:
        import_source(tmp_path, ImportTarget("org/new", "dataset"), Listener())
    assert f"{name}, line 2" in "\n".join(caught.value.details)
    assert TOKEN not in str(caught.value)
