"""A transformer's sizes, from the numbers in its config.json alone: nothing is built or loaded."""

from collections.abc import Mapping
from dataclasses import dataclass

from hubtune.models.base_facts import Facts

_UNGATED = frozenset({"gpt2", "gpt_neox", "bert", "roberta", "opt", "bloom", "gptj", "gpt_neo", "phi", "starcoder2"})
"""Architectures whose MLP has two matrices; the others have a third, which gates."""
_TIED = frozenset({"gpt2", "bert", "roberta", "opt", "bloom", "gpt_neo", "gemma", "gemma2", "gemma3_text", "phi3"})
"""Those whose head is the input embedding where the config does not say."""
_LEARNED_POSITIONS = frozenset({"gpt2", "bert", "roberta", "opt", "gpt_neo"})
_STEPWISE = frozenset({"gelu_new", "gelu_fast", "quick_gelu"})


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

    @property
    def block(self) -> int:
        """Weights of a block: its linear layers, their biases where the MLP has no gate, and two norms."""
        weights = sum(inputs * outputs for inputs, outputs in self.linear.values())
        biases = 0 if self.gated else sum(outputs for _, outputs in self.linear.values())
        return weights + biases + self.hidden * (2 if self.gated else 4)

    @property
    def outside(self) -> int:
        """Weights outside of the blocks: embeddings, a head of its own, the last norm."""
        return self.hidden * (self.vocabulary * (1 if self.tied else 2) + self.positions + 1)

    @property
    def parameters(self) -> int:
        """All weights."""
        return self.layers * self.block + self.outside


def shape_of(facts: Facts) -> Shape | None:
    """Returns the sizes that a config.json states; None where it does not state those of a transformer."""
    text = facts.get("text_config")
    if isinstance(text, dict):
        facts = {**text, "tie_word_embeddings": facts.get("tie_word_embeddings", text.get("tie_word_embeddings"))}
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


def _number(facts: Facts, *names: str) -> int:
    for name in names:
        value = facts.get(name)
        if isinstance(value, int) and value > 0:
            return value
    return 0
