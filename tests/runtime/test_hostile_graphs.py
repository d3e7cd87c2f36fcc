"""Graphs from strangers: onnxruntime refuses what is more than arithmetic on the model's own weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from intona.errors import UserError
from intona.runtime.session import GraphSession


def _save(path: Path, operator: str, *, domain: str = "", location: str = "") -> Path:
    """A graph of one operator; with `location`, of a weight that lies in that file."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    if location:
        weight.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "16")):
            weight.external_data.add(key=key, value=value)
    else:
        weight.float_data.extend([1.0] * 4)
    shapes: list[Any] = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    node = helper.make_node(operator, ["x", "w"], ["y"], domain=domain)
    graph = helper.make_graph([node], "graph", shapes[:1], shapes[1:], [weight])
    opsets = [helper.make_opsetid(name, 20 if not name else 1) for name in dict.fromkeys(["", domain])]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def test_a_plain_graph_is_read(tmp_path: Path) -> None:
    assert GraphSession(_save(tmp_path / "a.onnx", "Add")).inputs == ("x",)


@pytest.mark.parametrize("place", ["../secret.bin", "{}/secret.bin"])
def test_a_file_of_another_folder_is_not_read(tmp_path: Path, place: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    (tmp_path / "model").mkdir()
    path = _save(tmp_path / "model/a.onnx", "Add", location=place.format(tmp_path))
    with pytest.raises(UserError, match="damaged, or of another model"):
        GraphSession(path)


@pytest.mark.parametrize("domain", ["", "some.domain"])
def test_an_operator_of_others_is_not_run(tmp_path: Path, domain: str) -> None:
    with pytest.raises(UserError, match="damaged, or of another model"):
        GraphSession(_save(tmp_path / "a.onnx", "PythonCode", domain=domain))
