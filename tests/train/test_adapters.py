import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl.errors import UsageError
from autorl.train import adapters
from autorl.train.adapters import base_of, check, read, to_gguf
from tests import needs
from tests.train import peft_folders


@pytest.fixture(autouse=True)
def _safetensors() -> None:
    needs.require(bool(find_spec("safetensors") and find_spec("gguf")), "safetensors and gguf",
                  "pip install -e '.[train]'")


def test_an_adapter_is_read_with_its_scale(tmp_path: Path) -> None:
    found = read(peft_folders.adapter(tmp_path))
    assert (found.rank, found.scale, len(found.pairs)) == (2, 2.0, 14)
    assert {pair.layer for pair in found.pairs if pair.block == 1} == {name.partition(".")[2] for name in
                                                                      peft_folders.LAYERS}
    assert read(peft_folders.adapter(tmp_path, use_rslora=True)).scale == pytest.approx(4 / 2**0.5)


def test_the_hash_is_that_of_what_it_computes(tmp_path: Path) -> None:
    first = read(peft_folders.adapter(tmp_path / "first")).sha256
    halved = peft_folders.adapter(tmp_path / "halved", lambda held: held.update(
        {name: matrix.astype(np.float16) for name, matrix in held.items()}), peft_version="99")
    assert read(halved).sha256 == first, "the same numbers in another precision"
    assert read(peft_folders.adapter(tmp_path / "other", seed=1)).sha256 != first
    assert read(peft_folders.adapter(tmp_path / "scaled", lora_alpha=8)).sha256 != first


def test_16_bit_brain_floats_are_read(tmp_path: Path) -> None:
    folder = peft_folders.adapter(tmp_path, lambda held: held.update(
        {name: np.sign(matrix) * np.float32(1.5) for name, matrix in held.items()}))
    whole = read(folder)
    header, content = {}, b""
    for name, matrix in peft_folders.matrices().items():
        upper = ((np.sign(matrix) * np.float32(1.5)).view("<u4") >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": "BF16", "shape": matrix.shape, "data_offsets": [len(content), len(content + upper)]}
        content += upper
    said = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(len(said).to_bytes(8, "little") + said + content)
    assert read(folder).sha256 == whole.sha256


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = peft_folders.adapter(tmp_path)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(UsageError, match=r"adapter_model.bin is a pickle.*save_pretrained"):
        read(folder)
    (folder / "adapter_model.bin").unlink()
    with pytest.raises(UsageError, match=r"there is no adapter_model.safetensors"):
        read(folder)


@pytest.mark.parametrize(("config", "told"), [
    ({"use_dora": True}, "not plain LoRA .*use_dora = True"), ({"peft_type": "IA3"}, "peft_type = 'IA3'"),
    ({"bias": "all"}, "bias = 'all'"), ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    ({"rank_pattern": {"q_proj": 4}}, "rank_pattern"), ({"r": 3}, "no pair of rank 3"),
    ({"r": "x"}, "does not describe"),
])
def test_what_is_more_than_plain_lora_is_refused(tmp_path: Path, config: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read(peft_folders.adapter(tmp_path, **config))


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    name = next(iter(peft_folders.matrices()))

    def spoil(held: peft_folders.Matrices) -> None:
        held[name][0, 0] = np.nan

    with pytest.raises(UsageError, match=r"q_proj.lora_A.weight' is not all numbers \(NaN"):
        read(peft_folders.adapter(tmp_path, spoil))


def test_a_matrix_without_its_other_half_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"block 1, v_proj has .* no pair"):
        read(peft_folders.adapter(tmp_path, lambda held: held.pop(
            "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight")))


def test_a_layer_that_no_llama_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"adapts 'base_model.model.lm_head.lora_A.weight'"):
        read(peft_folders.adapter(tmp_path, lambda held: held.update(
            {"base_model.model.lm_head.lora_A.weight": np.zeros((2, 12), np.float32)})))


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_named_or_reads_as_numbers(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int,
                                                     cut: bool) -> None:
    folder = peft_folders.adapter(tmp_path_factory.mktemp("damaged"))
    path = folder / "adapter_model.safetensors"
    content = bytearray(path.read_bytes())
    at %= len(content)
    content[at] = byte
    path.write_bytes(content[:at] if cut else content)
    try:
        found = read(folder)
    except UsageError as error:
        assert str(path) in str(error)
        return
    assert not cut
    assert all(np.isfinite(pair.a).all() and np.isfinite(pair.b).all() for pair in found.pairs)


def test_an_adapter_of_another_model_is_told_by_its_first_layer(tmp_path: Path) -> None:
    found, there = read(peft_folders.adapter(tmp_path / "adapter")), peft_folders.base(tmp_path / "base")
    check(found, base_of(there))
    for change, told in (({"hidden_size": 24}, r"down_proj of block 0 is 12 x 20, and base has 24 x 20"),
                         ({"num_hidden_layers": 1}, r"block 1 is 12 x 20, and base has 1 blocks")):
        (there / "config.json").write_text(json.dumps({**peft_folders.CONFIG, **change}))
        with pytest.raises(UsageError, match=rf"is for another model: .*{told}"):
            check(found, base_of(there))
    (there / "config.json").write_text(json.dumps({**peft_folders.CONFIG, "model_type": "gpt2"}))
    with pytest.raises(UsageError, match="of the architecture 'gpt2'"):
        base_of(there)
    (there / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="does not describe a language model"):
        base_of(there)


def test_the_form_for_llama_cpp_holds_the_same_numbers(tmp_path: Path) -> None:
    import gguf

    found, there = read(peft_folders.adapter(tmp_path / "adapter")), base_of(peft_folders.base(tmp_path / "base"))
    to_gguf(found, there, tmp_path / "adapter.gguf")
    reader = gguf.GGUFReader(tmp_path / "adapter.gguf")
    assert {name: reader.get_field(name).contents() for name in (
        "general.type", "general.architecture", "adapter.type", "adapter.lora.alpha")} == {
        "general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora", "adapter.lora.alpha": 4.0}
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    assert len(tensors) == 28
    assert np.array_equal(tensors["blk.1.ffn_down.weight.lora_b"],
                          peft_folders.matrices()["base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"])
    query = peft_folders.matrices()["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"]
    assert np.array_equal(tensors["blk.0.attn_q.weight.lora_b"], query[[0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11]])
    assert not list(tmp_path.glob(".*")), "nothing half made is left"


@given(heads=st.integers(1, 5), half=st.integers(1, 4), rank=st.integers(1, 3))
def test_rows_are_put_in_the_order_in_which_llama_cpp_rotates_them(heads: int, half: int, rank: int) -> None:
    rows = np.arange(heads * half * 2 * rank, dtype=np.float32).reshape(heads * half * 2, rank)
    turned = adapters._interleaved(rows, heads)
    for head in range(heads):
        for pair in range(half):
            first, second = head * 2 * half + pair, head * 2 * half + half + pair
            place = head * 2 * half + 2 * pair
            assert (turned[place] == rows[first]).all()
            assert (turned[place + 1] == rows[second]).all()
