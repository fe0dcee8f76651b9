"""Small ONNX models made on the spot: the level of a clip as its scores, in every shape there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def save_level(
    path: Path,
    *,
    shape: tuple[Any, ...] = ("batch", "samples"),
    output: str = "scores",
    dtype: type = np.float32,
    metadata: dict[str, str] | None = None,
    label: str | None = None,
) -> Path:
    """A model of two scores, the negative mean and the mean; with ``label``, an output of labels beside them.

    ``label`` is ``index`` or ``name``; its word is the opposite of the scores', so that it can be told apart.
    """
    from onnx import TensorProto, checker, helper, numpy_helper, save

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    rank = len(shape)
    batch = "batch" if rank == 1 else shape[0]
    axes = numpy_helper.from_array(np.arange(1, rank) if rank > 1 else np.array([0]), "axes")
    sides = numpy_helper.from_array(np.array([[-1.0, 1.0]], dtype=dtype), "sides")
    column = numpy_helper.from_array(np.array([-1, 1]), "column")
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "column"], ["means"]),
        helper.make_node("Mul", ["means", "sides"], [output]),
    ]
    inputs = [helper.make_tensor_value_info("x", kind, list(shape))]
    outputs = [helper.make_tensor_value_info(output, kind, [1 if rank == 1 else batch, 2])]
    constants = [axes, sides, column]
    if label is not None:
        nodes.append(helper.make_node("ArgMin", [output], ["index"], axis=1, keepdims=0))
        told = helper.make_tensor_value_info("index", TensorProto.INT64, [batch])
        if label == "name":
            names = helper.make_tensor("names", TensorProto.STRING, [2], [b"down", b"up"])
            constants.append(names)
            nodes.append(helper.make_node("Gather", ["names", "index"], ["name"]))
            told = helper.make_tensor_value_info("name", TensorProto.STRING, [batch])
        outputs.insert(0, told)
    graph = helper.make_graph(nodes, "level", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    checker.check_model(model)
    save(model, path)
    return path
