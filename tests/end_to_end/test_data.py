"""`hubtune init` and `hubtune data show`: what the data becomes, seen before anything is trained."""

import yaml


def test_a_first_config_is_written_from_the_columns_and_its_rows_are_shown_as_the_model_will_see_them(world):
    (world.work / "hubtune.yaml").unlink()

    written = world.done("init", "lab/quotes", "lab/gpt2", "--hub", world.hub)
    asked = ("data", "show", "-n", "3", "-s", "data[0].loss_on=completion", "--hub", world.hub)
    plain = world.done(*asked)
    shown = world.done("--json", *asked)

    assert "author, quote of lab/quotes (train) as template" in written.out
    text = (world.work / "hubtune.yaml").read_text()
    assert yaml.safe_load(text)["data"] == [{"repo": "lab/quotes", "split": "train", "template": "{author}\n{quote}"}]
    assert text.count("#") > 5
    # On a pipe, what carries loss stands in brackets.
    assert "[<|endoftext|>]" in plain.out
    assert "\x1b" not in plain.out
    rows = shown.document["rows"]
    assert len(rows) == 3
    for row in rows:
        assert len(row["input_ids"]) == len(row["labels"]) == len(row["tokens"])
        learnt = [token for token, label in zip(row["tokens"], row["labels"], strict=True) if label != -100]
        author, _, quote = row["text"].partition("\n")
        assert author.startswith("the ")
        assert "".join(learnt) == quote + "<|endoftext|>"
    assert not [line for line in world.requests() if "safetensors" in line["path"]]
    assert not (world.work / "hubtune.lock").exists()
