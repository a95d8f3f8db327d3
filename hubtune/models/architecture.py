"""A transformer without its weights: its sizes from config.json, and its modules without memory for weights.

The sizes are for memory estimates, before transformers is imported. The empty model gives the names and shapes that a
checkpoint and an adapter must have, the tied tensors, and the layers that LoRA can change.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hubtune.documents import BOUNDS
from hubtune.errors import ModelError
from hubtune.files import read_bytes
from hubtune.models.base_facts import Facts, check_sizes, read_facts
from hubtune.models.config_files import load_config, loading_model
from hubtune.models.remote_code import brings_code
from hubtune.records.release import MODEL_CONFIG

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


_UNGATED = frozenset({"gpt2", "gpt_neox", "bert", "roberta", "opt", "bloom", "gptj", "gpt_neo", "phi", "starcoder2"})
"""Architectures whose MLP has two matrices; the others have a third, which gates."""
_TIED = frozenset({"gpt2", "bert", "roberta", "opt", "bloom", "gpt_neo", "gemma", "gemma2", "gemma3_text", "phi3"})
"""Those whose head is the input embedding if the config does not say."""
_LEARNED_POSITIONS = frozenset({"gpt2", "bert", "roberta", "opt", "gpt_neo"})
_STEPWISE = frozenset({"gelu_new", "gelu_fast", "quick_gelu"})
# What architectures call the modules outside of the linear layers.
_EMBEDDING = ("embed_tokens", "wte", "embed_in", "word_embeddings")
_HEAD = ("lm_head", "embed_out")
_POSITIONS = ("wpe", "position_embeddings", "embed_positions")
_FIRST_NORM, _SECOND_NORM = ("input_layernorm", "ln_1"), ("post_attention_layernorm", "ln_2")
_LAST_NORM = ("norm", "ln_f", "final_layer_norm", "final_layernorm")
LayerKind = Literal["linear", "transposed", "embedding"]


@dataclass(frozen=True)
class Whole:
    """Modules that are fully trained in addition to an adapter.

    Attributes:
        weights: Of all of them.
        blocks: Of each linear layer in a block, its name to the number of blocks in which it is among them.
        embedding: Whether the input embedding is.
        head: Whether the head is that gives the logits of tokens.
        unknown: Names of which the config does not tell what they are.
    """

    weights: int
    blocks: Mapping[str, int]
    embedding: bool
    head: bool
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """A transformer's sizes.

    Attributes:
        layers: Blocks.
        linear: Of each linear layer in a block, its name to the numbers that go in and come out.
        gated: Whether the MLP has a gate.
        tied: Whether the head is the input embedding.
        positions: Learned positions.
        stepwise: Whether the activation function is made of many small steps, each of which keeps its input.
        kind: The architecture, as transformers names it.
        classifies: Whether the checkpoint has a head that classifies.
        classes: What such a head distinguishes, if the model is loaded with one in place of the head for tokens; 0
            where it is not.
    """

    hidden: int
    inner: int
    keys: int
    layers: int
    vocabulary: int
    linear: Mapping[str, tuple[int, int]]
    gated: bool
    tied: bool
    positions: int
    stepwise: bool
    kind: str
    classifies: bool
    classes: int = 0

    @property
    def block(self) -> int:
        """Weights of a block: its linear layers, their biases if the MLP has no gate, and two norms."""
        weights = sum(inputs * outputs for inputs, outputs in self.linear.values())
        biases = 0 if self.gated else sum(outputs for _, outputs in self.linear.values())
        return weights + biases + self.hidden * (2 if self.gated else 4)

    @property
    def head(self) -> int:
        """Weights of the head for tokens, if it is not the input embedding."""
        return 0 if self.tied or self.classes else self.hidden * self.vocabulary

    @property
    def class_head(self) -> dict[str, int]:
        """Weights of the classification head that transformers adds for this architecture, by module."""
        last, dense = self.classes * (self.hidden + 1), self.hidden * (self.hidden + 1)
        if not self.classes:
            return {}
        if self.kind == "bert":
            return {"pooler": dense, "classifier": last}
        return {"classifier": dense + last} if self.kind == "roberta" else {"score": self.classes * self.hidden}

    @property
    def outside(self) -> int:
        """Weights outside of the blocks: embeddings, an untied head, the last norm."""
        return self.hidden * (self.vocabulary + self.positions + 1) + self.head + sum(self.class_head.values())

    @property
    def parameters(self) -> int:
        """All weights."""
        return self.layers * self.block + self.outside

    def whole(self, names: Iterable[str]) -> Whole:
        """Returns the modules that peft selects by these names: those whose full names end with one.

        Biases are counted if the MLP has no gate, as in `block`.
        """
        modules = self._modules()
        found: dict[tuple[str, ...], int] = {}
        unknown: list[str] = []
        for given in names:
            fitting = [known for known in modules if any(_fits(given, name) for name in known)]
            # A number in a name is that of a block.
            numbered = any(step.isdigit() for step in given.split("."))
            for known in fitting:
                most = modules[known][1]
                found[known] = min(most, found.get(known, 0) + (1 if numbered else most))
            unknown += [] if fitting else [given]
        return Whole(
            weights=sum(modules[known][0] * count for known, count in found.items()),
            blocks={known[0]: count for known, count in found.items() if known[0] in self.linear},
            embedding=_EMBEDDING in found,
            head=_HEAD in found,
            unknown=tuple(unknown),
        )

    def _modules(self) -> dict[tuple[str, ...], tuple[int, int]]:
        """Returns of each module, by the names that it may have, its weights and how many there are of it."""
        bias = 0 if self.gated else 1
        table, norm = self.hidden * self.vocabulary, self.hidden * (1 + bias)
        linear = {(name,): (inputs + bias) * outputs for name, (inputs, outputs) in self.linear.items()}
        return {
            _EMBEDDING: (table, 1),
            **({} if self.classes else {_HEAD: (table, 1)}),
            **{(name,): (weights, 1) for name, weights in self.class_head.items()},
            **({_POSITIONS: (self.hidden * self.positions, 1)} if self.positions else {}),
            _LAST_NORM: (norm, 1),
            **{known: (weights, self.layers) for known, weights in linear.items()},
            **dict.fromkeys((_FIRST_NORM, _SECOND_NORM), (norm, self.layers)),
        }


def shape_of(facts: Facts) -> Shape | None:
    """Returns the sizes that a config.json states; None if they are not those of a transformer."""
    text = facts.get("text_config")
    if isinstance(text, dict):
        facts = {**text, "tie_word_embeddings": facts.get("tie_word_embeddings", text.get("tie_word_embeddings"))}
    stated = facts.get("architectures")
    architectures = stated if isinstance(stated, list) else []
    kind = str(facts.get("model_type", ""))
    hidden, layers = _number(facts, "hidden_size", "n_embd"), _number(facts, "num_hidden_layers", "n_layer")
    heads, vocabulary = _number(facts, "num_attention_heads", "n_head"), _number(facts, "vocab_size")
    if not (hidden and layers and heads and vocabulary):
        return None
    inner = _number(facts, "intermediate_size", "n_inner", "ffn_dim") or 4 * hidden
    size = _number(facts, "head_dim") or hidden // heads
    keys = (_number(facts, "num_key_value_heads") or heads) * size
    tied = facts.get("tie_word_embeddings")
    positions = _number(facts, "max_position_embeddings", "n_positions") if kind in _LEARNED_POSITIONS else 0
    return Shape(
        hidden=hidden,
        inner=inner,
        keys=keys,
        layers=layers,
        vocabulary=vocabulary,
        linear=_linear(kind, hidden, inner, heads * size, keys),
        gated=kind not in _UNGATED,
        tied=tied if isinstance(tied, bool) else kind in _TIED,
        positions=positions,
        stepwise=str(facts.get("activation_function") or facts.get("hidden_act")) in _STEPWISE,
        kind=kind,
        classifies=any(str(name).endswith("ForSequenceClassification") for name in architectures),
    )


def _linear(kind: str, hidden: int, inner: int, queries: int, keys: int) -> dict[str, tuple[int, int]]:
    if kind == "gpt2":
        # Two layers of a block have one name.
        return {
            "c_attn": (hidden, 3 * hidden),
            "c_proj": (hidden, hidden),
            "c_fc": (hidden, inner),
            "c_proj/mlp": (inner, hidden),
        }
    if kind == "gpt_neox":
        return {
            "query_key_value": (hidden, 3 * hidden),
            "dense": (hidden, hidden),
            "dense_h_to_4h": (hidden, inner),
            "dense_4h_to_h": (inner, hidden),
        }
    names = ("query", "key", "value", "dense", "dense/up", "dense/down") if kind in ("bert", "roberta") else ()
    q, k, v, o, up, down = names or ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj")
    gate = {} if kind in _UNGATED else {"gate_proj": (hidden, inner)}
    return {
        **{q: (hidden, queries), k: (hidden, keys), v: (hidden, keys), o: (queries, hidden)},
        **gate,
        **{up: (hidden, inner), down: (inner, hidden)},
    }


def _fits(given: str, known: str) -> bool:
    last = known.partition("/")[0]
    return last.endswith(given) or given.endswith(f".{last}")


def _number(facts: Facts, *names: str) -> int:
    for name in names:
        value = facts.get(name)
        if isinstance(value, int) and value > 0:
            return value
    return 0


@dataclass(frozen=True)
class Structure:
    """A causal language model without its weights.

    Attributes:
        layers: Module that LoRA can change to its kind; `transposed` is a Conv1D, whose weight is (in, out).
        parameters: Parameter or buffer to shape.
        tied: Parameter to the one that it shares its values with; the head to the input embedding, mostly.
        input_embedding: The module's name.
        head: The name of the module that gives the logits.
        prefix: What the names of the model without its head lack: checkpoints come with it and without it.
    """

    layers: dict[str, LayerKind]
    parameters: dict[str, tuple[int, ...]]
    tied: dict[str, str]
    input_embedding: str
    head: str
    prefix: str

    @property
    def vocabulary(self) -> set[str]:
        """The parameters whose first dimension is the number of tokens."""
        names = {f"{self.input_embedding}.weight", f"{self.head}.weight", f"{self.head}.bias"}
        return names & self.parameters.keys()


def read_structure(folder: Path) -> Structure:
    """Builds a model from its config, with parameters that take no memory.

    Raises:
        ModelError: It cannot be built as a causal language model; code is never run for it.
    """
    if brings_code(folder):
        raise ModelError(
            "The base model's architecture is Python code in its repository, which complete weights would need beside "
            "them; hubtune writes models without code.",
            hint="Use the adapter itself, on the base.",
        )
    model = build_empty(folder, "the base model")
    names = {module: name for name, module in model.named_modules()}
    return Structure(
        layers={name: kind for module, name in names.items() if (kind := _kind(module)) is not None},
        parameters={
            name: tuple(parameter.shape)
            for named in (model.named_parameters(remove_duplicate=False), model.named_buffers())
            for name, parameter in named
        },
        tied=dict(model.all_tied_weights_keys),
        input_embedding=names[model.get_input_embeddings()],
        head=names[model.get_output_embeddings()],
        prefix=f"{model.base_model_prefix}." if model.base_model_prefix else "",
    )


def build_empty(folder: Path, name: str, *, classifies: bool = False) -> "PreTrainedModel":
    """Builds a model from the config.json in `folder`, with parameters that take no memory.

    Args:
        folder: Where the config is; no weights are read.
        name: The model's id, for messages.
        classifies: Whether it is built to classify texts, and not to write them.

    Raises:
        ModelError: A size is not a number above 0, or transformers cannot build it. The repository's code is never run.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    check_sizes(read_facts(read_bytes(folder / MODEL_CONFIG, most=BOUNDS.size), name), name)
    auto = AutoModelForSequenceClassification if classifies else AutoModelForCausalLM
    purpose = "classify texts" if classifies else "write text"
    with loading_model(f"No model that can {purpose} can be built by the {MODEL_CONFIG} of {name}", folder):
        config = load_config(folder, name)
        with torch.device("meta"):
            model: PreTrainedModel = auto.from_config(config, trust_remote_code=False)
    return model


def _kind(module: "torch.nn.Module") -> LayerKind | None:
    import torch
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, torch.nn.Linear):
        return "linear"
    if isinstance(module, Conv1D):
        return "transposed"
    return "embedding" if isinstance(module, torch.nn.Embedding) else None
