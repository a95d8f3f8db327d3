"""Plans a merge before anything is written: which tensors change and how. What does not fit is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hubtune.errors import MergeError
from hubtune.models.adapter_changes import Adapter, WeightChange
from hubtune.models.architecture import LayerKind, Structure
from hubtune.models.checkpoint import FLOATS, Checkpoint, Entry


@dataclass(frozen=True)
class TensorEdit:
    """A tensor of the merged checkpoint that is not a copy of the base's of the same name.

    Attributes:
        source: The base's tensor that it is made from.
        change: What is done to it; None for a copy under another name.
        kind: The kind of the layer, if the change has factors.
    """

    source: str
    shard: str
    dtype: str
    shape: tuple[int, ...]
    change: WeightChange | None
    kind: LayerKind | None


@dataclass(frozen=True)
class MergePlan:
    """All differences from the base model.

    Attributes:
        edits: Tensor of the merged checkpoint to how it is made.
        config: Keys of config.json that change: the number of tokens, and whether embeddings are tied.
        tied: Whether the merged model's head is its input embedding.
    """

    edits: dict[str, TensorEdit]
    config: dict[str, object]
    tied: bool


def plan_merge(structure: Structure, checkpoint: Checkpoint, adapter: Adapter) -> MergePlan:
    """Plans the merge.

    Raises:
        MergeError: The adapter does not fit the base; the message names the tensor.
    """
    return _Planner(structure, checkpoint, adapter).plan()


@dataclass
class _Planner:
    structure: Structure
    checkpoint: Checkpoint
    adapter: Adapter
    edits: dict[str, TensorEdit] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)

    def plan(self) -> MergePlan:
        changes = dict(self.adapter.changes)
        for parameter, change in changes.items():
            self._check(parameter, change)
        for target, source in self.structure.tied.items():
            self._tied_pair(target, source, changes)
        for parameter, change in changes.items():
            self._edit(parameter, parameter, change)
        self._count_tokens()
        head = f"{self.structure.head}.weight"
        return MergePlan(
            self.edits, self.config, head in self.structure.tied and "tie_word_embeddings" not in self.config
        )

    def _tied_pair(self, target: str, source: str, changes: dict[str, WeightChange]) -> None:
        """Takes two parameters that share their values out of `changes`, if one of them is changed."""
        pair = {name: changes.pop(name) for name in (source, target) if name in changes}
        if not pair:
            return
        stored = [name for name in (source, target) if self._stored_name(name) is not None]
        if len(stored) != 1:
            raise MergeError(
                f"The base model ties {target} to {source}, and its checkpoint holds {len(stored)} of them.",
                hint="Publish the adapter itself instead.",
            )
        one = next(iter(pair.values()))
        if set(pair) == {source} and one.only_rows:
            # peft replaces the rows of both.
            self._edit(source, stored[0], one)
        elif len(pair) == 2 and all(change.only_replaces for change in pair.values()) and self._same(pair):
            self._edit(source, stored[0], pair[source])
        else:
            self._untie(target, source, stored[0], pair)

    def _untie(self, target: str, source: str, stored: str, pair: Mapping[str, WeightChange]) -> None:
        ends = {f"{self.structure.head}.weight", f"{self.structure.input_embedding}.weight"}
        unclear = any(change.rows for change in pair.values()) or self.adapter.ties_embeddings
        if {target, source} != ends or unclear or "text_config" in self.checkpoint.config:
            raise MergeError(
                f"The adapter changes {' and '.join(sorted(pair))}, which the base model ties together, in a way that "
                "merging does not know.",
                hint="Publish the adapter itself instead.",
            )
        other = target if stored == source else source
        self._edit(stored, stored, pair.get(stored))
        self._edit(other, stored, pair.get(other), name=other)
        self.config["tie_word_embeddings"] = False

    def _edit(self, parameter: str, stored: str, change: WeightChange | None, name: str | None = None) -> None:
        found = self._stored_name(stored)
        if found is None:
            raise MergeError(
                f"The adapter changes {parameter}, which the base model's checkpoint does not hold.",
                hint="Publish the adapter itself instead.",
            )
        tensor, shard, entry = found
        expected = self.structure.parameters[parameter]
        if entry.dtype not in FLOATS or entry.shape != expected:
            raise MergeError(
                f"The base model stores {tensor} as {entry.dtype} of shape {list(entry.shape)}, which is not the "
                f"full-precision weight of shape {list(expected)} that the adapter was made for.",
                hint="Merge into the full-precision base model.",
            )
        shape = entry.shape
        if change is not None and change.replacement is not None:
            shape = self.adapter.shapes[change.replacement]
        if change is not None and change.rows is not None:
            shape = (self._with_new_rows(parameter, shape[0], change), *shape[1:])
        kind = self.structure.layers.get(parameter.rpartition(".")[0])
        if change is not None or name is not None:
            self.edits[name or tensor] = TensorEdit(tensor, shard, entry.dtype, shape, change, kind)

    def _stored_name(self, parameter: str) -> tuple[str, str, Entry] | None:
        """Returns the name, shard and place of a parameter in the checkpoint, which may lack the model's prefix."""
        prefix = self.structure.prefix
        for name in (parameter, parameter.removeprefix(prefix), prefix + parameter):
            found = self.checkpoint.find(name)
            if found is not None:
                return name, *found
        return None

    def _check(self, parameter: str, change: WeightChange) -> None:
        if parameter not in self.structure.parameters:
            raise MergeError(
                f"The adapter changes {parameter}, which the base model does not have.",
                hint="The adapter belongs to another base model, or to another revision of it.",
            )
        shape = self.structure.parameters[parameter]
        if change.replacement is not None:
            replaced = self.adapter.shapes[change.replacement]
            resized = parameter in self.structure.vocabulary and replaced[1:] == shape[1:]
            if replaced != shape and not resized:
                raise self._misfit(parameter, shape, replaced)
            shape = replaced
        if change.rows is not None:
            rows = self.adapter.shapes[change.rows]
            count = self._with_new_rows(parameter, shape[0], change)
            if rows[1:] != shape[1:] or not all(0 <= index < count for index in change.indices):
                raise self._misfit(parameter, shape, rows)
            shape = (count, *shape[1:])
        if change.low_rank is not None:
            kind = self.structure.layers.get(parameter.rpartition(".")[0])
            if kind is None:
                raise MergeError(
                    f"The adapter changes {parameter} of a kind of layer that merging does not know.",
                    hint="Publish the adapter itself instead.",
                )
            a, b = self.adapter.shapes[change.low_rank.a], self.adapter.shapes[change.low_rank.b]
            product = (b[0], a[-1]) if kind == "linear" else (a[-1], b[0])
            if len(a) != 2 or len(b) != 2 or a[0] != b[1] or product != shape:
                raise self._misfit(parameter, shape, product)
        if change.bias is not None and self.adapter.shapes[change.bias[0]] != shape:
            raise self._misfit(parameter, shape, self.adapter.shapes[change.bias[0]])

    def _with_new_rows(self, parameter: str, count: int, change: WeightChange) -> int:
        """Returns how many rows a parameter has with those of tokens that follow upon the base's own without a gap."""
        new = sorted({index for index in change.indices if index >= count})
        follow = parameter in self.structure.vocabulary and new == list(range(count, count + len(new)))
        return count + len(new) if follow else count

    def _misfit(self, parameter: str, shape: tuple[int, ...], found: tuple[int, ...]) -> MergeError:
        return MergeError(
            f"The adapter does not fit {parameter}: its shape is {list(shape)}, and the adapter's {list(found)}.",
            hint="The adapter belongs to another base model, or to another revision of it.",
        )

    def _same(self, pair: Mapping[str, WeightChange]) -> bool:
        import torch
        from safetensors import safe_open

        with safe_open(self.adapter.weights, framework="pt") as tensors:
            first, second = (tensors.get_tensor(change.replacement) for change in pair.values())
            return bool(torch.equal(first, second))

    def _count_tokens(self) -> None:
        """Sets the number of tokens if the adapter brings more of them, or fewer."""
        counts = {}
        for parameter in self.structure.vocabulary:
            found = self._stored_name(parameter)
            name = found[0] if found is not None else parameter
            if name in self.edits:
                counts[name] = self.edits[name].shape[0]
            elif found is not None:
                counts[name] = found[2].shape[0]
        before = self.structure.parameters[f"{self.structure.input_embedding}.weight"][0]
        if set(counts.values()) == {before}:
            return
        if len(set(counts.values())) > 1 or "vocab_size" not in self.checkpoint.config:
            shown = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
            raise MergeError(
                f"The adapter resizes the embeddings to numbers of tokens that do not agree: {shown}.",
                hint="Publish the adapter itself instead.",
            )
        self.config["vocab_size"] = next(iter(counts.values()))
