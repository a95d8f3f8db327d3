"""A Hub with something to look at."""

from dataclasses import dataclass

import pytest

from tests.pages.pictures import png
from tests.served_hub import ServedHub

CARD = (
    """---
license: apache-2.0
language: [en, de]
base_model: org/base
base_model_relation: adapter
datasets: [org/quotes, elsewhere/data]
pipeline_tag: text-generation
library_name: peft
tags: [lora, a-tag-with-a-name-that-is-much-longer-than-the-panel-in-which-it-has-to-stand]
model-index:
- name: quotes
  results:
  - task: {type: text-generation, name: Text generation}
    dataset: {type: org/quotes, name: Quotes}
    metrics:
    - {type: perplexity, name: Perplexity on held-out rows, value: 16.666001}
---
# Quotes

A card with a [licence](LICENSE), a [remote page](https://a.example) and ![a chart](charts/loss.png).

| Measure | Base model without the adapter | With the adapter | Difference (95 % interval) | Rows | Predicted tokens |
|---|--:|--:|--:|--:|--:|
| Perplexity on held-out rows | 199.28 | 16.67 | -182.61 (-190.10 to -175.50) | 47 | 1,234 |

## Usage

```python
from peft import PeftModel  # 1 of 2
rank = 8
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("org/base"), "org/quotes-lora", "v1.0.0")
```

averyveryverylongwordthatdoesnotfitonaphoneinanyway" """
    + "x" * 120
    + """

- [x] trained
- [ ] loved

> [!NOTE]
> A note.
"""
)


@dataclass(frozen=True)
class Shown:
    """A Hub and the commit of its model."""

    hub: ServedHub
    commit: str


@pytest.fixture
def shown(served: ServedHub) -> Shown:
    """A Hub with a model, its base, its dataset and a tag."""
    files = {
        "README.md": CARD.encode(),
        "LICENSE": b"Do as you like.\n",
        "charts/loss.png": png(),
        "docs/more.md": b"# More\n\n[back](../README.md)\n",
        "config.json": b'{"a": 1,\n "b": "<script>alert(1)</script>"}\n',
        "rows.jsonl": b'{"quote": "' + b"long " * 100 + b'"}\n',
        "blob.dat": b"\0\1\2\3",
        "model.safetensors": b"\1" * 5000,
        "empty.txt": b"",
    }
    served.commit("org/base", {"README.md": b"# Base\n"})
    served.commit("org/quotes", {"README.md": b"---\nlicense: cc0-1.0\n---\n# Quotes\n"}, "dataset")
    commit = served.commit("org/quotes-lora", files)
    served.api.create_tag("org/quotes-lora", tag="v1.0.0")
    served.api.create_branch("org/quotes-lora", branch="feature/x")
    return Shown(served, commit)
