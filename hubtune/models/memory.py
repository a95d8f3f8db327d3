"""Estimates the memory of a training from config.json alone, before anything is loaded.

All weights are counted from the numbers in the config. What a step holds besides is counted for sequences that are as
long as the rows may be, so that a run of shorter rows takes less.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hubtune.config.training import TrainConfig
from hubtune.models.base_facts import Facts
from hubtune.models.machine import Memory

_UNGATED = frozenset({"gpt2", "gpt_neox", "bert", "roberta", "opt", "bloom", "gptj", "gpt_neo", "phi", "starcoder2"})
"""Architectures whose MLP has two matrices; the others have a third, which gates."""
_TIED = frozenset({"gpt2", "bert", "roberta", "opt", "bloom", "gpt_neo", "gemma", "gemma2", "gemma3_text", "phi3"})
"""Those whose head is the input embedding where the config does not say."""
_LEARNED_POSITIONS = frozenset({"gpt2", "bert", "roberta", "opt", "gpt_neo"})
_STEPWISE = frozenset({"gelu_new", "gelu_fast", "quick_gelu"})
# Bytes of a number in 4 bits with its block's scale, which is quantised too (Dettmers et al., 2023): 4.127 bits.
_NF4 = 0.516
# Logits that the loss holds at once, by the kind of device, and how many copies of them.
_LOGITS, _COPIES = {"cpu": 2**24, "cuda": 2**27}, 2
# Copies of all logits where the model makes the loss: their likelihoods, and the gradients of these and of the logits.
_OWN_COPIES = 3
# Shares of a memory: the libraries and the rows take some of it, and the estimate was seen to be off by a fifth.
_NEAR, _OVER = 0.8, 1.2
# Blocks that `freeze` trains where nothing is said.
_BLOCKS = 2


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


@dataclass(frozen=True)
class Estimate:
    """Bytes that a training takes at most, by what they are for.

    Attributes:
        weights: The model's weights and the adapter's.
        gradients: In fp32, of what is trained.
        optimizer: AdamW's two moments in fp32, of what is trained, and what holds the weights to where they start.
        activations: What the forward keeps for the backward.
        logits: What the loss holds of them at once.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """The sum."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {_giga(value)}" for name, value in vars(self).items())
        return f"about {_giga(self.total)} ({parts})"

    def advice(self, train: TrainConfig) -> str:
        """Returns what to change so that a training takes less, by what takes the most."""
        if self.activations > self.total / 2:
            lower = (
                "Lower `train.batch_size`, with `train.gradient_accumulation` raised by as much for the same steps, or "
            )
            checkpointing = "" if train.gradient_checkpointing else ", or set `train.gradient_checkpointing: true`"
            return f"{lower}`train.max_length`{checkpointing}."
        if train.whole:
            return "Train fewer weights: `train.method: lora`, or `freeze` with fewer `last_blocks`."
        smaller = (
            "a smaller base model" if train.method == "qlora" else "`train.method: qlora`, or a smaller base model"
        )
        return f"Use {smaller}."


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


def estimate(
    shape: Shape,
    train: TrainConfig,
    *,
    device: str,
    width: int,
    length: int,
    consolidated: bool = False,
    classifies: bool = False,
) -> Estimate:
    """Returns what a training takes.

    With P weights in the model, T of them or of an adapter trained, and n = `batch_size` x `length` tokens at once:

    - weights: P x `width` (0.516 in the blocks for `qlora`; 4 for `full` and `freeze`), and 4 T for an adapter;
    - gradients 4 T, and AdamW 8 T, with 8 T more where the weights are held to where they start;
    - activations, in the way of Korthikanti et al. (2022) but without the attention's matrix, which is never held: for
      each token and block 10 h + 2 k + 4 i numbers with a gated MLP of i inner numbers, 8 h + c i without, where c is
      2, or 6 for a GELU that is worked out step by step; h hidden and k key numbers. With checkpointing, h for each
      block and the whole of one; and 4 h outside of the blocks;
    - logits: twice those that the loss holds at once, in fp32. Where an adapter has rows for new tokens, peft makes the
      whole head anew in each forward, and the model makes the loss: three times the n x vocabulary logits, and the
      weights of the head twice more among the activations, with their gradient.

    Args:
        shape: The model's.
        train: How it is trained.
        device: `cuda` or `cpu`.
        width: Bytes of a number in a base that carries an adapter: 2 or 4.
        length: The most tokens of a row.
        consolidated: Whether elastic weight consolidation holds the weights.
        classifies: Whether the model gives classes, so that it has no logits of tokens but a few.
    """
    tokens = train.batch_size * length
    trained = _trained(shape, train)
    held = 4 if train.whole else width
    weights = shape.layers * shape.block * (_NF4 if train.method == "qlora" else held) + shape.outside * held
    if shape.gated:
        numbers = 10 * shape.hidden + 2 * shape.keys + 4 * shape.inner
    else:
        numbers = 8 * shape.hidden + (6 if shape.stepwise else 2) * shape.inner
    blocks = numbers * shape.layers
    if train.gradient_checkpointing:
        blocks = shape.hidden * shape.layers + numbers
    own = bool(train.added_tokens) and not train.whole and not classifies
    rows = tokens if own else max(1, min(tokens, _LOGITS[device] // shape.vocabulary))
    return Estimate(
        weights=round(weights) + (0 if train.whole else 4 * trained),
        gradients=4 * trained,
        optimizer=(16 if consolidated else 8) * trained,
        activations=(tokens * (blocks + 4 * shape.hidden) + (2 * shape.vocabulary * shape.hidden if own else 0)) * held,
        logits=(_OWN_COPIES if own else _COPIES) * 4 * rows * shape.vocabulary,
    )


def fitting(
    shape: Shape,
    train: TrainConfig,
    memory: Memory,
    *,
    width: int,
    length: int,
    consolidated: bool = False,
    classifies: bool = False,
) -> TrainConfig:
    """Returns the settings with the rows of a step in as few micro-batches as fit the memory; see `estimate`.

    The rows of a step stay the same. Where not even one row fits, it is one row at a time.
    """
    rows = train.batch_size * train.gradient_accumulation
    sizes = [size for size in range(train.batch_size, 0, -1) if rows % size == 0]
    for size in sizes:
        chosen = train.model_copy(update={"batch_size": size, "gradient_accumulation": rows // size})
        found = estimate(
            shape,
            chosen,
            device=memory.device,
            width=width,
            length=length,
            consolidated=consolidated,
            classifies=classifies,
        )
        if size == 1 or judge(found, memory.total) == "ok":
            break
    return chosen


def judge(found: Estimate, total: int) -> Literal["ok", "near", "over"]:
    """Returns whether a training fits a memory of so many bytes; one that is over by little may fit all the same."""
    share = found.total / total
    return "over" if share > _OVER else "near" if share > _NEAR else "ok"


def _trained(shape: Shape, train: TrainConfig) -> int:
    if train.method == "full":
        return shape.parameters
    if train.method == "freeze":
        blocks = min(shape.layers, train.last_blocks or _BLOCKS)
        return blocks * shape.block + shape.hidden * (1 if shape.tied else shape.vocabulary)
    wanted = train.lora.target_modules
    sizes = [size for name, size in shape.linear.items() if isinstance(wanted, str) or name.split("/")[0] in wanted]
    rows = len(train.added_tokens) * shape.hidden * (1 if shape.tied else 2)
    return shape.layers * train.lora.r * sum(map(sum, sizes or shape.linear.values())) + rows


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


def _giga(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 5e7 else f"{count / 1e6:.1f} MB"
