"""A config is read with all its faults at once, each with its key path and what may have been meant."""

from pathlib import Path

import pytest

from hubtune.config.evaluation import DEFAULT
from hubtune.config.load import (
    dump_config,
    evaluation_digest,
    load_config,
    parse_config,
    read_dumped,
    read_published,
    training_digest,
    without_folders,
)
from hubtune.errors import ConfigError

MINIMAL = "base: {repo: org/base}\ndata: [{repo: org/sayings, text: quote}]\n"


def _faults(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, overrides)
    return list(caught.value.details)


def test_two_lines_are_a_whole_config():
    config = parse_config(MINIMAL)

    assert (config.base.revision, config.data[0].split, config.train.method) == ("main", "train", "lora")
    assert (config.evaluate.metrics, config.card.license, config.publish.tag) == (list(DEFAULT), "auto", "v1.0.0")


def test_every_fault_is_told_at_once_with_its_place():
    faults = _faults(
        """
        base: {repo: ./local/model, revison: main}
        data:
          - {repo: org/one, text: quote}
          - {repo: org/two, template: no column}
        train: {epochs: 0, lora: {r: none, alpah: 3}}
        publish: {repo: nameless, tag: latest}
        speed: 11
        """
    )

    assert {fault.partition(": ")[0] for fault in faults} == {
        "base.repo",
        "base.revison",
        "data[1].template",
        "train.epochs",
        "train.lora.r",
        "train.lora.alpah",
        "publish.repo",
        "publish.tag",
        "speed",
    }


def test_the_message_names_the_file_and_how_many_faults_there_are(tmp_path: Path):
    path = tmp_path / "tune.yaml"
    path.write_text(MINIMAL + "train: {epochs: 0, seed: -1}\n")

    with pytest.raises(ConfigError, match=r"tune\.yaml cannot be used: 2 things to correct"):
        load_config(path)


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        ("train: {epoch: 3}", "train.epoch: there is no such key; did you mean `epochs`?"),
        ("train: {lora: {rr: 3}}", "train.lora.rr: there is no such key; did you mean `r`?"),
        (
            "earlier: {data: [{repo: org/old, columns: {mesages: a}}]}",
            "earlier.data[0].columns.mesages: there is no such key; did you mean `messages`?",
        ),
        ("evaluation: {}", "evaluation: there is no such key; did you mean `evaluate`?"),
        ("holdout: 0.2", "holdout: there is no such key; did you mean `evaluate.holdout`?"),
        ("card: {tag: v1.0.0}", "card.tag: there is no such key; did you mean `publish.tag`?"),
        ("train: {alpha: 3}", "train.alpha: there is no such key; did you mean `train.lora.alpha`?"),
    ],
)
def test_a_misspelt_or_misplaced_key_is_told_what_may_have_been_meant(added: str, fault: str):
    assert _faults(MINIMAL + added) == [fault]


def test_a_key_like_no_other_is_told_what_there_is():
    (fault,) = _faults(MINIMAL + "publish: {zzz: 1}")

    keys = "artifact, branch, counterpart, message, private, repo, tag"
    assert fault == f"publish.zzz: there is no such key; the keys here are: {keys}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "base: {repo: org/base}\nbase: {repo: org/base}\ndata: [{repo: org/s, text: q}]\n",
            "base: this key is there twice, on lines 1 and 2; keep one",
        ),
        (
            MINIMAL + "train:\n  lora:\n    r: 8\n    alpha: 16\n    r: 4\n",
            "train.lora.r: this key is there twice, on lines 5 and 7; keep one",
        ),
        (
            "base: {repo: org/base}\ndata:\n- {repo: org/s, text: q}\n- repo: org/s\n  text: q\n  repo: org/t\n",
            "data[1].repo: this key is there twice, on lines 4 and 6; keep one",
        ),
    ],
    ids=["top", "nested", "in a list"],
)
def test_a_key_that_stands_twice_is_told_with_its_lines(text: str, fault: str):
    assert _faults(text) == [fault]


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("train.batch_size", "yes", "a whole number (it is true)"),
        ("train.epochs", "true", "a number (it is true)"),
        ("train.last_blocks", "on", "a whole number (it is true)"),
        ("rows.workers", "on", "a whole number (it is true)"),
        ("evaluate.canaries", "no", "a whole number (it is false)"),
        ("earlier.ewc", "true", "a number (it is true)"),
        ("data[0].weight", "true", "a number (it is true)"),
        ("data[0].weight", ".inf", "a finite number (it is inf)"),
        ("rows.max_dropped", ".nan", "a finite number (it is nan)"),
        ("train.lora.alpha", ".inf", "a finite number (it is inf)"),
    ],
)
def test_what_is_not_a_finite_number_is_refused_as_one(key: str, value: str, kind: str):
    added = "earlier: {data: [{repo: org/old}]}\n" if key.startswith("earlier") else ""

    assert _faults(MINIMAL + added, f"{key}={value}") == [f"{key}: this has to be {kind}"]


def test_missing_keys_are_told():
    assert _faults("train: {epochs: 2}") == ["base: this key is missing", "data: this key is missing"]
    assert _faults("base: {}\ndata: [{text: quote}]") == [
        "base.repo: this key is missing",
        "data[0]: name a dataset's repository on the Hub as `repo`, or a local file as `path`",
    ]


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("path: rows.csv", "data[0]: name a dataset's repository on the Hub as `repo`, or a local file as `path`"),
        (
            "license: mit",
            "data[0]: `license` is for a local file; leave it out, as that of a repository is read from its card",
        ),
        (
            "text: q, template: '{q}'",
            "data[0]: `template` writes a row and `text` names the column that is the row; keep one",
        ),
        ("format: template", "data[0]: format is 'template'; write the row as `template`"),
        ("format: chat, template: '{q}'", "data[0]: format is 'chat', and `template` is for "),
        ("format: chat, text: q", "data[0]: format is 'chat', and `text` is for text, classification"),
        ("format: classification, text: q, columns: {text: r}", "data[0]: `text` and `columns.text` name the same"),
        (
            "format: chat, columns: {prompt: q}",
            "data[0]: columns.prompt is not part of a row of format 'chat'; the parts",
        ),
        ("text: q, loss_on: completion", "data[0]: loss_on is 'completion'; format 'text' allows all"),
        ("template: '{q}', loss_on: assistant", "data[0]: loss_on is 'assistant'; format 'template' allows all"),
        (
            "format: classification, loss_on: all",
            "data[0]: loss_on is 'all'; format 'classification' allows none",
        ),
        ("text: q, chat_template: x", "data[0]: chat_template is for format 'chat'"),
        ("format: chat, labels: [a, b]", "data[0]: labels are for format 'classification'"),
        ("labels: [a, a]", "data[0].labels: a label is listed twice"),
        ("labels: [a]", "data[0].labels: the list has to have at least 2 items"),
        ("split: test, held_out_split: test", "data[0]: held_out_split is the split that is trained on"),
        ("split: 'train[:10'", "data[0].split: 'train[:10' is not a split"),
        ("weight: 0", "data[0].weight: this has to be greater than 0"),
        ("colums: {prompt: q}", "data[0].colums: there is no such key; did you mean `columns`?"),
        ("columns: {promt: q}", "data[0].columns.promt: there is no such key; did you mean `prompt`?"),
    ],
)
def test_what_does_not_go_together_in_a_data_set_is_told(entry: str, fault: str):
    (found,) = _faults(f"base: {{repo: org/base}}\ndata: [{{repo: org/s, {entry}}}]\n")

    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (
            "revision: v1",
            "data[0]: `name` and `revision` are for a repository, and this is a local file; leave them out",
        ),
        (
            "name: small",
            "data[0]: `name` and `revision` are for a repository, and this is a local file; leave them out",
        ),
        ("license: MIT", "data[0].license: 'MIT' is not a license identifier of the Hub; did you mean mit"),
    ],
)
def test_what_does_not_go_with_a_local_file_is_told(entry: str, fault: str):
    (found,) = _faults(f"base: {{repo: org/base}}\ndata: [{{path: rows.csv, {entry}}}]\n")

    assert found.startswith(fault)


def test_a_local_file_is_looked_for_from_the_config_s_folder(tmp_path: Path):
    (tmp_path / "tune.yaml").write_text("base: {repo: org/base}\ndata: [{path: rows.jsonl}]\n")

    (entry,) = load_config(tmp_path / "tune.yaml").data

    assert (entry.path, entry.label) == (str(tmp_path / "rows.jsonl"), "rows.jsonl")


def test_the_licence_of_a_local_file_does_not_decide_the_training():
    text = "base: {repo: org/base}\ndata: [{path: rows.jsonl, text: quote}]\n"

    assert training_digest(parse_config(text)) == training_digest(parse_config(text, ["data[0].license=mit"]))


def test_a_data_set_needs_no_format():
    (entry,) = parse_config("base: {repo: org/base}\ndata: [{repo: org/s}]\n").data

    assert entry.stated_format is None


def test_a_chat_template_may_stand_in_a_file_and_stays_as_it_is(tmp_path: Path):
    (tmp_path / "chat.jinja").write_text("  {{ messages }}\n\n")
    (tmp_path / "tune.yaml").write_text(
        "base: {repo: org/base}\ndata: [{repo: org/s, chat_template: {file: chat.jinja}}]\n"
    )

    assert load_config(tmp_path / "tune.yaml").data[0].chat_template == "  {{ messages }}\n\n"


def test_a_chat_template_writes_the_conversations_of_every_data_set():
    config = parse_config(
        "base: {repo: org/base}\ndata: [{repo: org/s}, {repo: org/t, chat_template: x}, {repo: org/u, format: text}]\n"
    )
    assert [entry.chat_template for entry in config.data] == ["x", "x", None]


@pytest.mark.parametrize("value", ["{file: none.jinja}", "{file: ../chat.jinja}", "{path: chat.jinja}"])
def test_a_chat_template_s_file_that_cannot_be_used_is_told(value: str):
    (fault,) = _faults(f"base: {{repo: org/base}}\ndata: [{{repo: org/s, chat_template: {value}}}]\n")

    assert fault.startswith("data[0].chat_template: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: [unclosed", "not YAML: did not find expected ',' or ']' (line 2)"),
        ("base: !!python/object/apply:os.system ['true']", "not YAML"),
        ("- a list", "has to be a mapping"),
        ("just text", "has to be a mapping"),
        ("base: \t{repo: x}\n\tdata: y", "not YAML"),
    ],
)
def test_what_is_not_a_yaml_mapping_is_told_so(text: str, said: str):
    (fault,) = _faults(text)

    assert said in fault


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_an_empty_config_lacks_its_keys(text: str):
    assert _faults(text) == ["base: this key is missing", "data: this key is missing"]


def test_a_missing_file_is_told_with_what_to_do(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no config file .*hubtune\.yaml") as caught:
        load_config(tmp_path / "hubtune.yaml")

    assert "hubtune init DATASET BASE" in str(caught.value.hint)


def test_a_file_that_is_not_text_is_told_so(tmp_path: Path):
    (tmp_path / "hubtune.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match="is not text in UTF-8: the first byte that is not is byte 1"):
        load_config(tmp_path / "hubtune.yaml")


def test_overrides_win_over_the_file_at_any_depth():
    config = parse_config(
        MINIMAL + "train: {epochs: 2}\n",
        ["train.epochs=3", "train.lora.r=4", "data[0].split=test", "publish.repo=org/tuned", "card.bias=a=b"],
    )

    assert (config.train.epochs, config.train.lora.r, config.data[0].split) == (3, 4, "test")
    assert (config.publish.repo, config.card.bias) == ("org/tuned", "a=b")


def test_an_override_s_value_is_yaml():
    config = parse_config(MINIMAL, ["publish.private=true", "train.lora.target_modules=[q_proj, v_proj]"])

    assert config.publish.private is True
    assert config.train.lora.target_modules == ["q_proj", "v_proj"]


def test_an_override_of_one_item_leaves_the_others():
    config = parse_config(MINIMAL, ["data=[{repo: org/a, text: x}, {repo: org/b, text: y}]", "data[1].text=z"])

    assert [(entry.repo, entry.text) for entry in config.data] == [("org/a", "x"), ("org/b", "z")]


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("train.epochs", "the override 'train.epochs' is not key=value, such as train.epochs=3"),
        ("=3", "the override '=3' is not key=value, such as train.epochs=3"),
        ("data[5].split=test", "data[5].split: the override names a place that this config does not have"),
        ("data.split=test", "data.split: the override names a place that this config does not have"),
        ("base.repo.name=x", "base.repo.name: the override names a place that this config does not have"),
        ("train..epochs=3", "train..epochs: the override names a place that this config does not have"),
        ("data[x].split=test", "data[x].split: the override names a place that this config does not have"),
        ("train.epoch=3", "train.epoch: there is no such key; did you mean `epochs`?"),
        ("train.epochs=many", "train.epochs: "),
    ],
)
def test_a_bad_override_is_told(override: str, fault: str):
    (found,) = _faults(MINIMAL, override)

    assert found.startswith(fault)


def test_a_template_in_an_override_is_text():
    assert parse_config(MINIMAL, ["data[0]={repo: org/s, template: 'Q: {quote}'}"]).data[0].template == "Q: {quote}"


def test_a_dumped_config_reads_back_equal_and_holds_every_default():
    config = parse_config(MINIMAL + "card: {intended_use: 'Ünusual: #1 \"use\"'}\nevaluate: {metrics: all}\n")

    text = dump_config(config)

    assert parse_config(text) == config
    for default in ("learning_rate:", "max_length:", "holdout:", "tag: v1.0.0", "target_modules: all-linear"):
        assert default in text


@pytest.mark.parametrize(
    "override",
    [
        "card.intended_use=Other",
        "card.license=mit",
        "publish.tag=v2.0.0",
        "publish.repo=org/x",
        "evaluate.batch_size=1",
        "rows.workers=3",
        "train.report_to=[trackio]",
        "train.project=x",
        "train.country=FRA",
    ],
)
def test_card_release_and_way_of_measuring_do_not_decide_the_training(override: str):
    assert training_digest(parse_config(MINIMAL)) == training_digest(parse_config(MINIMAL, [override]))


@pytest.mark.parametrize(
    "override",
    [
        "base.revision=v1",
        "data[0].split=test",
        "data[0].loss_on=all",
        "rows.max_dropped=0.5",
        "data[0].streaming=true",
        "data[0].separator=;",
        "data[0].encoding=gbk",
        "train.seed=1",
        "train.lora.r=1",
        "evaluate.holdout=0.2",
        "evaluate.seed=1",
        "evaluate.max_items=9",
    ],
)
def test_inputs_training_and_split_decide_the_training(override: str):
    assert training_digest(parse_config(MINIMAL)) != training_digest(parse_config(MINIMAL, [override]))


def test_a_default_written_out_decides_the_same():
    assert training_digest(parse_config(MINIMAL)) == training_digest(parse_config(dump_config(parse_config(MINIMAL))))


def test_the_training_s_digest_is_that_of_earlier_versions():
    """A release's records name it, so that another one here would have `verify` contradict them."""
    assert training_digest(parse_config(MINIMAL)) == "90f9f4ccc68398b5cc3ed53c470540dfd79082df8e241aa0f3b7ede26912e050"


def test_the_evaluation_s_digest_is_of_its_section_alone():
    plain = evaluation_digest(parse_config(MINIMAL))

    assert plain == evaluation_digest(parse_config(MINIMAL, ["train.seed=1", "publish.tag=v2.0.0"]))
    assert plain != evaluation_digest(parse_config(MINIMAL, ["evaluate.batch_size=1"]))


EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/hubtune.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_a_shipped_config_is_in_order(path: Path):
    config = load_config(path)

    assert parse_config(dump_config(config)) == config


def test_there_are_shipped_configs():
    assert EXAMPLES


def test_a_dumped_config_reads_back_as_it_was(tmp_path: Path):
    config = parse_config(MINIMAL, ["card.templates=sections"])

    assert read_dumped(dump_config(config), "records/config.yaml") == config


def test_a_dumped_config_cannot_have_a_file_read(tmp_path: Path):
    secret = tmp_path / "secret.md"
    secret.write_text("my secret")
    text = MINIMAL + f"card: {{ethics: {{file: {secret}}}}}\n"

    with pytest.raises(ConfigError, match=r"records/config\.yaml") as caught:
        read_dumped(text, "records/config.yaml")

    assert "my secret" not in str(caught.value.details)


def test_an_adapter_and_merged_weights_are_two_repositories():
    with pytest.raises(ConfigError) as caught:
        parse_config(MINIMAL, ["publish.repo=org/tuned", "publish.counterpart=org/tuned"])

    assert "need one each" in str(caught.value.details)


EARLIER = "earlier: {data: [{repo: org/before, text: quote}]}\n"


@pytest.mark.parametrize(
    ("section", "place", "word"),
    [
        ("earlier: {ewc: 10}", "earlier.data", "missing"),
        ("earlier: {replay: 0.2, data: []}", "earlier.data", "at least 1"),
        ("earlier: {data: [{repo: org/a}], replay: 1}", "earlier.replay", "less than 1"),
        ("earlier: {data: [{repo: org/a}], ewc: -1}", "earlier.ewc", "at least 0"),
        ("earlier: {data: [{repo: org/a}], fisher_rows: 0}", "earlier.fisher_rows", "at least 1"),
        ("earlier: {data: [{repo: org/a}], holdout: 1}", "earlier.holdout", "less than 1"),
        ("earlier: {data: [{repo: org/a, format: classification}]}", "earlier", "classification"),
        ("earlier: {data: [{repo: org/a, chat_template: {file: none}}]}", "earlier.data[0].chat_template", "none"),
    ],
)
def test_an_earlier_task_that_cannot_be_is_told_with_its_place(section: str, place: str, word: str):
    (fault,) = _faults(f"{MINIMAL}{section}\n")

    assert fault.startswith(f"{place}: ")
    assert word in fault


def test_a_classifier_has_no_earlier_task():
    (fault,) = _faults(f"base: {{repo: org/base}}\ndata: [{{repo: org/a, format: classification}}]\n{EARLIER}")

    assert "earlier is for models that write text" in fault


def test_an_earlier_task_decides_the_training_but_its_licence_does_not(tmp_path: Path):
    plain, named = parse_config(MINIMAL), parse_config(MINIMAL + EARLIER)
    file = [
        parse_config(f"{MINIMAL}earlier: {{data: [{{path: a/b.csv, text: q, license: {x}}}]}}\n")
        for x in ("mit", "cc0-1.0")
    ]
    elsewhere = parse_config(f"{MINIMAL}earlier: {{data: [{{path: c/b.csv, text: q}}]}}\n", folder=tmp_path)

    assert len({training_digest(one) for one in (plain, named, file[0])}) == 3
    assert training_digest(file[0]) == training_digest(file[1]) == training_digest(elsewhere)
    assert training_digest(parse_config(MINIMAL + EARLIER, ["earlier.ewc=3"])) != training_digest(named)
    assert elsewhere.earlier.data[0].path == str(tmp_path / "c/b.csv")
    assert read_dumped(dump_config(elsewhere), "it") == elsewhere


def test_a_chat_template_writes_earlier_conversations_too():
    config = parse_config(
        "base: {repo: org/base}\ndata: [{repo: org/s, chat_template: x}]\nearlier: {data: [{repo: org/t}]}\n"
    )

    assert [entry.chat_template for entry in config.all_data] == ["x", "x"]
    (fault,) = _faults(dump_config(config), "earlier.data[0].chat_template=y")
    assert "two datasets have different chat templates" in fault


SWEPT = """
base: {repo: org/base}
data: [{repo: org/data}]
train: {learning_rate: 0.01}
sweep:
  study: %s
  sampler: grid
  seed: 42
  trials: 27
  metric: held_out_loss
  direction: minimize
  rows: held-out
  rank: 1
  value: 2.5
  fields: [{field: train.learning_rate, tried: "0.001, 0.01", chosen: "0.01"}]
""" % ("ab" * 32)


def test_a_config_that_a_sweep_chose_says_so_and_trains_as_without_it():
    config = parse_config(SWEPT)
    assert config.sweep.trials == 27
    assert parse_config(dump_config(config)) == config
    assert training_digest(config) == training_digest(parse_config(SWEPT.partition("sweep:")[0]))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.learning_rate=0.001", "a sweep chose 0.01 for train.learning_rate, and it is 0.001"),
        ("sweep.rows=validation", "validation rows chose the values, and evaluate.validation is not set"),
    ],
)
def test_a_config_that_is_not_the_one_that_its_sweep_chose_is_refused(override, words):
    with pytest.raises(ConfigError) as caught:
        parse_config(SWEPT, [override])
    assert words in caught.value.details[0]


def test_a_swept_file_is_known_by_its_name_in_a_release():
    fields = "[{field: 'data[0].path', tried: 'a.jsonl, b.jsonl', chosen: '\"b.jsonl\"'}]"
    text = SWEPT.replace("{repo: org/data}", "{path: data/b.jsonl, text: text}")
    text = text.partition("  fields:")[0] + f"  fields: {fields}\n"
    config = parse_config(text, folder=Path("/somewhere"))
    assert config.data[0].path == "/somewhere/data/b.jsonl"
    assert read_published(dump_config(without_folders(config)), "a release").sweep == config.sweep


def test_holdout_and_validation_leave_rows_to_train_on():
    with pytest.raises(ConfigError) as caught:
        parse_config(MINIMAL, ["evaluate.holdout=0.5", "evaluate.validation=0.5"])
    assert "leave no training rows" in caught.value.details[0]


def test_validation_decides_the_training_and_its_absence_changes_no_digest():
    plain, other = parse_config(MINIMAL), parse_config(MINIMAL, ["evaluate.validation=0.1"])
    assert training_digest(plain) != training_digest(other)
    assert evaluation_digest(plain) != evaluation_digest(other)
    assert evaluation_digest(plain) == "e4a352689e735604feccf65115f773bd1155d6c808795b1cc7140b1627635780"


@pytest.mark.parametrize(
    "override", ["train.report_to=[trackio,trackio]", "train.report_to=[neptune]", "train.country=France"]
)
def test_a_tracker_twice_or_unknown_and_a_country_by_its_name_are_refused(override: str):
    with pytest.raises(ConfigError) as refused:
        parse_config(MINIMAL, [override])

    assert override.partition("=")[0] in str(refused.value.details)
