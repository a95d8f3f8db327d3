import json

import pytest
from huggingface_hub import CommitOperationAdd


def tensors(**header) -> bytes:
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return len(text).to_bytes(8, "little") + text + b"\0"


def tensor(dtype, *shape):
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]}


def add(api, model, **files):
    # Ordinary files where no pattern marks them: what a repository holds by either way is counted.
    operations = [CommitOperationAdd(path.replace("__", "."), content) for path, content in files.items()]
    api.create_commit(model, operations, commit_message="Add")


ONE = tensors(a=tensor("BF16", 3, 4), b=tensor("BF16"), c=tensor("F32", 5))


@pytest.mark.parametrize("name", ["model", "adapter_model"])
def test_the_client_is_told_of_parameters_by_type(api, model, name):
    add(api, model, **{f"{name}__safetensors": ONE, "other__safetensors": tensors(x=tensor("F64", 7))})
    counts = api.model_info(model).safetensors
    assert (counts.parameters, counts.total) == ({"BF16": 13, "F32": 5}, 18)
    assert api.model_info(model, expand=["safetensors"]).safetensors == counts
    (listed,) = api.list_models(expand=["safetensors"])
    assert listed.safetensors == counts


def test_the_shards_of_an_index_are_added_up(api, model):
    index = json.dumps({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors", "c": "m-1.safetensors"}})
    add(
        api,
        model,
        **{
            "model__safetensors__index__json": index.encode(),
            "m-1__safetensors": ONE,
            "m-2__safetensors": tensors(b=tensor("F32", 2, 2)),
        },
    )
    assert api.model_info(model).safetensors.parameters == {"BF16": 13, "F32": 9}


def test_a_revision_has_its_own_count(api, model):
    empty = api.model_info(model).sha
    add(api, model, model__safetensors=ONE)
    assert api.model_info(model, revision=empty).safetensors is None


HOSTILE = {
    "short": b"\1",
    "no header": (2**40).to_bytes(8, "little") + b"{}",
    "not JSON": (2).to_bytes(8, "little") + b"{]",
    "a list": (2).to_bytes(8, "little") + b"[]",
    "deep": tensors(a=json.loads("[" * 50 + "]" * 50)),
    "negative": tensors(a=tensor("F32", -1)),
    "huge": tensors(a=tensor("F32", 2**64)),
    "a word": tensors(a=tensor("F32", "3")),
    "no type": tensors(a={"shape": [1]}),
    "many types": tensors(**{f"t{n}": tensor(f"F{n}", 1) for n in range(100)}),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_is_no_such_file_has_no_count(api, model, content):
    add(api, model, model__safetensors=content)
    info = api.model_info(model)
    assert (info.safetensors, len(info.siblings)) == (None, 2)


@pytest.mark.parametrize(
    "index", [b"[]", b"{", b'{"weight_map": {}}', b'{"weight_map": {"a": 1}}', b'{"weight_map": {"a": "none"}}']
)
def test_an_index_of_nothing_has_no_count(api, model, index):
    add(api, model, model__safetensors__index__json=index, model__safetensors=ONE)
    assert api.model_info(model).safetensors is None
