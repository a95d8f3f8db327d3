"""Whole runs' records with fixed digests and dates, one for each kind of card, and the means to change one thing."""

from collections.abc import Callable
from dataclasses import replace

from hubtune.card.inputs import CardInputs, ReleaseTarget
from hubtune.card.licensing.decision import decide
from hubtune.config.load import parse_config
from hubtune.data.split import GIVEN_METHOD, GROUP_METHOD, METHOD
from hubtune.records.base import LicensedInput, Pin, PinSet
from hubtune.records.data import DataRecord, MixRecord, ScreenRecord, SourceRecord, SplitRecord
from hubtune.records.release import Fidelity, MergedSource, MergeRecord, Tolerance
from hubtune.records.results import EnvironmentRecord, EvaluationRecord, LossPoint, Measure, Sample, TrainingRecord

GPT2 = "openai-community/gpt2-medium"
QUOTES = "Abirate/english_quotes"
BASE_COMMIT = "6dcaa7a952f72f9298047fd5137cd6e4f05f41da"
DATA_COMMIT = "3e24f6ff5b2b0a5d9a1c2e8f7d6c5b4a39281706"

CONFIG = """
base: {repo: openai-community/gpt2-medium}
data:
  - repo: Abirate/english_quotes
    template: "Quote by {author}: {quote}"
train:
  lora: {r: 8, alpha: 32, dropout: 0.05}
card:
  intended_use: Writing prompts and style demonstrations.
  misuse: |
    Do not present the output as a *real* quotation.

    - No attribution to living people.
    - Not a source for `"quotes"` in print.
  bias: Most quoted authors are men who wrote in English.
publish: {repo: org/quotes-lora}
"""

LLAMA_COMMIT = "4e20de362430cd3b72f300e6b0f18e50e7166e08"
LLAMA_FILES = {"LICENSE.txt": "99" * 32, "USE_POLICY.md": "aa" * 32}
STATEMENTS_CONFIG = """card:
  intended_use: Writing prompts and style demonstrations.
  misuse: Do not present the output as a real quotation.
  consent: The quotations were published by their authors; nobody was asked again.
  privacy: |
    Names of authors are in every row. They are of public persons.
  bias: Most quoted authors are men who wrote in English.
  safeguards: |
    Before release we read 200 completions:

    1. none named a living person;
    2. two were *harsh* and are why the prompt is fixed.
  risks: A reader may take an invented quotation for a real one.
  ethics: Inventing words of the dead is a matter of taste; we mark every output as invented.
  environment: The machine ran on the grid of our region; its mix was not recorded.
  citation: Please cite this repository and its version.
  contact: Write to the maintainers of `org` through the discussions.
  accept_license:
    repo: Abirate/english_quotes
    reason: Its owner wrote to us on 2026-01-05 that it may be used under CC BY 4.0.
    by: the legal desk of org
publish: {repo: org/quotes-lora}
"""

_ENVIRONMENT = EnvironmentRecord(
    python="3.11.9",
    platform="Linux-6.8-x86_64",
    device="NVIDIA L4 (CUDA 12.8)",
    packages={"torch": "2.9.1", "transformers": "5.20.0", "peft": "0.21.0", "datasets": "5.1.0", "hubtune": "0.1.0"},
)


def make_inputs(config: str = CONFIG, overrides: tuple[str, ...] = ()) -> CardInputs:
    """Returns the inputs of the golden card."""
    return CardInputs(
        config=parse_config(config, overrides),
        pins=PinSet(
            base=Pin(
                repo="openai-community/gpt2-medium", type="model", requested="main", commit=BASE_COMMIT, license="mit"
            ),
            data=[
                Pin(
                    repo="Abirate/english_quotes",
                    type="dataset",
                    requested="main",
                    commit=DATA_COMMIT,
                    license="cc-by-4.0",
                )
            ],
        ),
        data=DataRecord(
            upstream={"config": "11" * 32, "pins.json": "22" * 32},
            sources=[
                SourceRecord(
                    repo="Abirate/english_quotes",
                    commit=DATA_COMMIT,
                    name=None,
                    split="train",
                    format="template",
                    template="Quote by {author}: {quote}",
                    rows=2508,
                    kept=2506,
                    dropped={"a field is null": 2, "a field is blank": 0},
                    languages=["en"],
                    prompt="Quote by the lighthouse keeper:",
                    fingerprint="33" * 32,
                )
            ],
            train=SplitRecord(rows=2255, tokens=98_765, truncated=3),
            held_out=SplitRecord(rows=251, tokens=10_987, truncated=0),
            split_method=METHOD,
            max_length=512,
        ),
        training=TrainingRecord(
            upstream={"config": "11" * 32, "pins.json": "22" * 32, "data.json": "44" * 32},
            method="lora",
            precision="bf16",
            target_modules=["c_attn", "c_fc", "c_proj"],
            trainable_parameters=3_145_728,
            total_parameters=357_968_896,
            epochs=1,
            steps=282,
            batch_size=8,
            learning_rate=2e-4,
            optimizer="adamw_torch",
            schedule="linear",
            warmup_steps=15,
            weight_decay=0.0,
            max_grad_norm=1.0,
            seed=42,
            tokens=96_510,
            first_loss=4.0132,
            final_loss=3.2471,
            losses=[LossPoint(step=step, loss=3.2471 + 0.7661 / step**0.5) for step in (1, *range(5, 285, 5))],
            started="2026-01-31T12:00:00+00:00",
            seconds=127.4,
            files={"adapter_model.safetensors": "55" * 32, "adapter_config.json": "66" * 32},
            environment=_ENVIRONMENT,
        ),
        evaluation=EvaluationRecord(
            upstream={"training.json": "77" * 32},
            measures=[
                Measure(
                    name="perplexity",
                    split="held-out",
                    n=251,
                    tokens=10_736,
                    base=38.2113,
                    tuned=27.4035,
                    interval=(-12.0931, -9.6027),
                    interval_method="paired bootstrap over rows, 2000 resamples, 95% percentile interval",
                    status="measured",
                )
            ],
            precision="bf16",
            batch_size=8,
            max_items=None,
            seed=42,
            environment=_ENVIRONMENT,
        ),
        licenses=decide(
            [license_of("base", GPT2, BASE_COMMIT, "mit"), license_of("data", QUOTES, DATA_COMMIT, "cc-by-4.0")]
        ),
        target=ReleaseTarget("org/quotes-lora", "v1.0.0"),
        version="0.1.0",
    )


def license_of(kind: str, repo: str, commit: str, *licenses: str, **values: object) -> LicensedInput:
    """Returns what one input says of its license."""
    return LicensedInput(kind=kind, repo=repo, commit=commit, licenses=list(licenses), **values)


def with_source(inputs: CardInputs, **changes: object) -> CardInputs:
    """Returns the inputs with another first dataset."""
    first, *others = inputs.data.sources
    data = inputs.data.model_copy(update={"sources": [first.model_copy(update=changes), *others]})
    return replace(inputs, data=data)


def nothing_assessed() -> CardInputs:
    """Returns an unpublished adapter of inputs without licenses, of a silent author, with too few rows to measure."""
    inputs = make_inputs()
    few = Measure(
        name="perplexity",
        split="held-out",
        n=3,
        tokens=115,
        base=41.5071,
        tuned=33.9204,
        interval=None,
        status="insufficient data",
        detail="3 items were measured; at least 10 are needed",
    )
    config = "base: {repo: openai-community/gpt2-medium}\ndata: [{repo: Abirate/english_quotes, text: quote}]\n"
    source = inputs.data.sources[0].model_copy(
        update={
            "template": "{quote}",
            "prompt": None,
            "languages": [],
            "format": "text",
            "rows": 31,
            "kept": 31,
            "dropped": {},
        }
    )
    return replace(
        inputs,
        config=parse_config(config),
        pins=PinSet(
            base=inputs.pins.base.model_copy(update={"license": None}),
            data=[inputs.pins.data[0].model_copy(update={"license": None})],
        ),
        data=inputs.data.model_copy(
            update={
                "sources": [source],
                "train": SplitRecord(rows=28, tokens=1_120, truncated=0),
                "held_out": SplitRecord(rows=3, tokens=118, truncated=0),
            }
        ),
        evaluation=inputs.evaluation.model_copy(update={"measures": [few]}),
        licenses=decide([license_of("base", GPT2, BASE_COMMIT), license_of("data", QUOTES, DATA_COMMIT)]),
        target=None,
    )


def two_data_sets() -> CardInputs:
    """Returns an adapter trained on two datasets, one with a named configuration and license terms of its own."""
    inputs = make_inputs()
    pin = Pin(
        repo="org/proverbs",
        type="dataset",
        requested="v2",
        commit="0f" * 20,
        license=["cc-by-sa-4.0", "cc-by-4.0"],
    )
    source = SourceRecord(
        repo=pin.repo,
        commit=pin.commit,
        name="nb",
        split="validation",
        format="template",
        template="{proverb} | {meaning}",
        rows=1200,
        kept=1180,
        dropped={"a field is null": 12, "a field is blank": 8},
        languages=["no"],
        prompt="Silence is golden |",
        fingerprint="88" * 32,
    )
    licenses = [
        license_of("base", GPT2, BASE_COMMIT, "mit"),
        license_of("data", QUOTES, DATA_COMMIT, "cc-by-4.0"),
        license_of("data", pin.repo, pin.commit, *pin.license),
    ]
    return replace(
        inputs,
        licenses=decide(licenses),
        pins=inputs.pins.model_copy(update={"data": [*inputs.pins.data, pin]}),
        data=inputs.data.model_copy(
            update={
                "sources": [*inputs.data.sources, source],
                "train": SplitRecord(rows=3317, tokens=141_230, truncated=3),
                "held_out": SplitRecord(rows=369, tokens=15_870, truncated=0),
            }
        ),
        evaluation=inputs.evaluation.model_copy(
            update={"measures": [inputs.evaluation.measures[0].model_copy(update={"n": 369, "tokens": 15_501})]}
        ),
    )


def mixed_chats() -> CardInputs:
    """Returns an adapter of conversations, drawn by weight from a local file and a dataset with a held-out split."""
    config = """
base: {repo: openai-community/gpt2-medium}
data:
  - path: talks/rows.jsonl
    license: cc-by-4.0
    format: chat
    chat_template: "{{ messages }}"
    group_by: speaker
    weight: 3
  - {repo: Abirate/english_quotes, format: chat, held_out_split: test}
rows: {mix: interleave, stop: all_exhausted, seed: 7}
publish: {repo: org/quotes-lora}
"""
    inputs = make_inputs(config)
    (source,) = inputs.data.sources
    chats = {"format": "chat", "template": None, "columns": {"messages": "messages"}, "loss_on": "assistant"}
    local = {
        "repo": None,
        "commit": None,
        "file": "rows.jsonl",
        "sha256": "9a" * 32,
        "group_by": "speaker",
        "languages": [],
    }
    mix = MixRecord(stop="all_exhausted", seed=7, weights=[3.0, 1.0])
    return replace(
        inputs,
        data=inputs.data.model_copy(
            update={
                "sources": [
                    source.model_copy(
                        update={**chats, **local, "rows": 900, "kept": 900, "dropped": {}, "trained": 3390}
                    ),
                    source.model_copy(update={**chats, "held_out_split": "test", "trained": 1130}),
                ],
                "mix": mix,
                "split_method": f"{GROUP_METHOD}; {GIVEN_METHOD}",
            }
        ),
        licenses=decide(
            [
                license_of("base", GPT2, BASE_COMMIT, "mit"),
                LicensedInput(kind="data", file="rows.jsonl", licenses=["cc-by-4.0"]),
                license_of("data", QUOTES, DATA_COMMIT, "cc-by-4.0"),
            ]
        ),
    )


def merged() -> CardInputs:
    """Returns a release of the whole model, with the adapter merged into the base's weights."""
    target = ReleaseTarget("org/quotes-merged", "v1.0.0", artifact="merged", counterpart="org/quotes-lora")
    return replace(make_inputs(), target=target, merge=merge_record())


def merge_record() -> MergeRecord:
    """Returns the record of a merge in bf16 that went well."""
    fidelity = Fidelity(
        reference="full-precision base",
        prompts=8,
        positions=96,
        max_difference=0.1875,
        mean_difference=0.0123,
        largest_logit=21.5,
        kl=0.00021,
        greedy_agreement=0.9896,
        base_max_difference=6.25,
        base_mean_difference=0.84,
        effect=0.998,
        tolerance=Tolerance(relative_difference=0.15, kl=0.01, effect=0.15),
    )
    return MergeRecord(
        upstream={},
        base=MergedSource(repo="openai-community/gpt2-medium", commit="b" * 40),
        adapter=None,
        adapter_files={},
        trained_against="full-precision base",
        dtype="bf16",
        shards=1,
        changed_tensors=4,
        tied=True,
        untied=False,
        vocabulary=None,
        files={},
        fidelity=fidelity,
    )


def gated_llama() -> CardInputs:
    """Returns an adapter of a gated base under Meta's terms, in a repository whose name begins as they demand."""
    return _licensed(
        "org/Llama-quotes-lora",
        license_of("base", "meta-llama/Llama-3.2-1B", LLAMA_COMMIT, "llama3.2", files=LLAMA_FILES),
        license_of("data", QUOTES, DATA_COMMIT, "cc-by-4.0"),
        gated="manual",
    )


def non_commercial() -> CardInputs:
    """Returns an adapter trained on data that may not be used commercially."""
    return _licensed(
        "org/quotes-lora",
        license_of("base", GPT2, BASE_COMMIT, "mit"),
        license_of("data", "org/columns", DATA_COMMIT, "cc-by-nc-4.0"),
    )


def every_statement() -> CardInputs:
    """Returns an adapter whose author says something on every subject, and signs off a dataset without a license."""
    config = CONFIG.partition("card:")[0] + STATEMENTS_CONFIG
    inputs = make_inputs(config)
    licenses = [
        license_of("base", GPT2, BASE_COMMIT, "mit"),
        license_of("data", QUOTES, DATA_COMMIT),
    ]
    data = inputs.pins.data[0].model_copy(update={"license": None})
    return replace(
        inputs,
        licenses=decide(licenses, accepted=inputs.config.card.accept_license),
        pins=inputs.pins.model_copy(update={"data": [data]}),
        data=inputs.data.model_copy(update={"screen": screened(), "sources": [_with_dropped(inputs.data.sources[0])]}),
    )


def every_quality() -> CardInputs:
    """Returns an adapter that was measured in every way that fits it, with texts that could break a card."""
    inputs = make_inputs()
    first = inputs.evaluation.measures[0]

    def measure(name: str, base: float, tuned: float, half: float, **more: object) -> Measure:
        interval = (tuned - base - half, tuned - base + half)
        return first.model_copy(
            update={"name": name, "tokens": None, "base": base, "tuned": tuned, "interval": interval, **more}
        )

    made = {
        "given": "the first half of each row's tokens is given",
        "decoding": "greedy, at most 48 new tokens",
    }
    counted = {"bytes": "UTF-8 bytes of the text"}
    bleu = {"signature": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0", **made}
    rouge = {"signature": "rouge-score 0.1.2, F1, mean over rows, no stemming", **made}
    rates = {"base_interval": (0.010, 0.085), "tuned_interval": (0.863, 0.966), "p_value": 1.6e-27}
    samples = [
        Sample(
            prompt="Quote by the `lighthouse` keeper: | The",
            reference=" light <b>keeps</b> me\nawake.",
            base="",
            tuned=" light is [More Information Needed] by [EMAIL].",
        ),
        Sample(prompt="Quote by the baker: Bread", reference=None, base=" is bread is bread", tuned=" rises first."),
    ]
    return replace(
        inputs,
        evaluation=inputs.evaluation.model_copy(
            update={
                "measures": [
                    first,
                    measure(
                        "bits_per_byte",
                        1.262,
                        1.146,
                        0.021,
                        tokens=10_736,
                        settings=counted,
                    ),
                    measure("token_accuracy", 0.312, 0.401, 0.012, tokens=10_736),
                    measure("bleu", 2.31, 6.12, 1.4, n=100, settings=bleu),
                    measure("rouge1", 0.121, 0.198, 0.03, n=100, settings=rouge),
                    measure("ended", 0.03, 0.93, 0.05, n=100, settings=made, **rates),
                    measure("generated_tokens", 47.4, 23.1, 3.2, n=100, settings=made),
                    Measure(
                        name="token_f1",
                        split="held-out",
                        n=0,
                        base=None,
                        tuned=None,
                        interval=None,
                        status="not assessed",
                        detail="the rows are not prompts with responses",
                    ),
                ],
                "samples": samples,
            }
        ),
    )


def _with_dropped(source: SourceRecord) -> SourceRecord:
    dropped = {"a field is null": 2, "it holds an IP address": 1, "it repeats part of a held-out row": 4}
    return source.model_copy(update={"kept": 2501, "dropped": dropped})


def screened(**changes: object) -> ScreenRecord:
    """Returns what was found in the rows: something for each policy. `changes` replace parts of every finding."""
    measured = {"precision": 1.0, "recall": 0.974, "labelled": 39}
    findings = [
        {"kind": "email", "policy": "report", "rows": 12, "hits": 15, "dropped": 0, **measured},
        {"kind": "phone", "policy": "report", "rows": 0, "hits": 0, "dropped": 0, **measured},
        {"kind": "card_number", "policy": "redact", "rows": 1, "hits": 1, "dropped": 0, "redacted": 1, **measured},
        {"kind": "iban", "policy": "redact", "rows": 0, "hits": 0, "dropped": 0, **measured},
        {"kind": "ip_address", "policy": "drop", "rows": 1, "hits": 2, "dropped": 1, **measured},
        {"kind": "secret", "policy": "refuse", "rows": 0, "hits": 0, "dropped": 0, **measured},
        {"kind": "duplicates", "policy": "report", "rows": 6, "hits": 6, "dropped": 0},
        {"kind": "near_duplicates", "policy": "report", "rows": 0, "hits": 0, "dropped": 0},
        {"kind": "contamination", "policy": "drop", "rows": 3, "hits": 4, "dropped": 4},
    ]
    return ScreenRecord.model_validate(
        {
            "rows": 2506,
            "phone_regions": ["US", "GB"],
            "findings": [
                {"per_thousand": round(1000 * found["hits"] / 2506, 3), **found, **changes} for found in findings
            ],
        }
    )


def _licensed(repo: str, base: LicensedInput, data: LicensedInput, *, gated: str | bool = False) -> CardInputs:
    """Returns the inputs of the golden card with another base and another dataset."""
    inputs = make_inputs(overrides=(f"publish.repo={repo}", f"base.repo={base.repo}", f"data[0].repo={data.repo}"))
    source = inputs.data.sources[0].model_copy(update={"repo": data.repo})
    base_pin = {"repo": base.repo, "commit": base.commit, "license": base.licenses[0], "gated": gated}
    data_pin = {"repo": data.repo, "commit": data.commit, "license": data.licenses[0]}
    return replace(
        inputs,
        pins=PinSet(
            base=inputs.pins.base.model_copy(update=base_pin), data=[inputs.pins.data[0].model_copy(update=data_pin)]
        ),
        data=inputs.data.model_copy(update={"sources": [source]}),
        licenses=decide([base, data], name=repo.partition("/")[2]),
        target=ReleaseTarget(repo, "v1.0.0"),
    )


CARDS: dict[str, Callable[[], CardInputs]] = {
    "quotes-lora": make_inputs,
    "merged": merged,
    "gated-llama": gated_llama,
    "non-commercial": non_commercial,
    "nothing-assessed": nothing_assessed,
    "two-data-sets": two_data_sets,
    "mixed-chats": mixed_chats,
    "every-statement": every_statement,
    "every-quality": every_quality,
}
"""Every kind of card that has a golden file."""
