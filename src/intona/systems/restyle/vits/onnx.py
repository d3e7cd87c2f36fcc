"""Weights of an ONNX file, read without the onnx package: initialisers, nodes and a few attributes.

Only the protobuf wire format and the fields that are needed (onnx.proto3: ModelProto.graph 7;
GraphProto.node 1, initializer 5; NodeProto.input 1, output 2, name 3, op_type 4, attribute 5;
TensorProto.dims 1, data_type 2, float_data 4, name 8, raw_data 9, external_data 13).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from intona.errors import UserError

MAX_BYTES = 2 << 30
_TYPES = {1: np.dtype("<f4"), 7: np.dtype("<i8"), 6: np.dtype("<i4"), 10: np.dtype("<f2")}


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operation of the graph."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ints: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes in order, and the constant tensors by name."""

    nodes: tuple[Node, ...]
    tensors: dict[str, np.ndarray]


class _Damaged(ValueError):
    pass


def read(path: Path) -> Graph:
    """Parse a file.

    Raises:
        UserError: missing, too large, not an ONNX file, weights in a separate file.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError("larger than 2 GB, the limit of an ONNX file", where=path)
        raw = memoryview(path.read_bytes())
    except OSError as e:
        raise UserError(f"cannot be read ({e.strerror})", where=path) from None
    try:
        graphs = [v for number, v in _fields(raw) if number == 7 and isinstance(v, memoryview)]
        if len(graphs) != 1:
            raise _Damaged("no graph in it")
        nodes, tensors = [], {}
        for number, value in _fields(graphs[0]):
            if number == 1:
                nodes.append(_node(_bytes(value)))
            elif number == 5:
                name, tensor = _tensor(_bytes(value))
                if tensor is not None:
                    tensors[name] = tensor
        if not nodes:
            raise _Damaged("no operations in it")
    except (_Damaged, IndexError, UnicodeDecodeError, ValueError, OverflowError) as e:
        raise UserError(f"not an ONNX file that can be read ({str(e)[:80]})", where=path) from None
    return Graph(nodes=tuple(nodes), tensors=tensors)


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise _Damaged("an endless number")


def _fields(raw: memoryview) -> Iterator[tuple[int, Any]]:
    """(field number, int or memoryview) of a message."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(raw, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(raw, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise _Damaged(f"wire type {kind}")
        if at + size > len(raw):
            raise _Damaged("cut short")
        yield key >> 3, raw[at : at + size]
        at += size


def _bytes(value: Any) -> memoryview:
    if not isinstance(value, memoryview):
        raise _Damaged("a number where a message belongs")
    return value


def _text(value: Any) -> str:
    return bytes(_bytes(value)).decode("utf-8")


def _ints(value: Any) -> list[int]:
    """One number, or a packed list of them."""
    if isinstance(value, int):
        return [value]
    out, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        out.append(number)
    return out


def _node(raw: memoryview) -> Node:
    inputs, outputs, name, kind, ints = [], [], "", "", {}
    for number, value in _fields(raw):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number == 3:
            name = _text(value)
        elif number == 4:
            kind = _text(value)
        elif number == 5:
            key, values = "", []
            for inner, v in _fields(_bytes(value)):
                if inner == 1:
                    key = _text(v)
                elif inner == 8:
                    values += _ints(v)
            ints[key] = tuple(values)
    return Node(name=name, kind=kind, inputs=tuple(inputs), outputs=tuple(outputs), ints=ints)


def _tensor(raw: memoryview) -> tuple[str, np.ndarray | None]:
    dims, kind, name = [], 0, ""
    pieces: list[memoryview] = []
    for number, value in _fields(raw):
        if number == 1:
            dims += _ints(value)
        elif number == 2:
            kind = value
        elif number == 8:
            name = _text(value)
        elif number in (4, 9):
            pieces.append(_bytes(value))
        elif number == 13:
            raise _Damaged("its weights are in a separate file")
    data = b"".join(pieces)
    if kind not in _TYPES or not data:
        return name, None  # a constant of another type is not a weight
    return name, np.frombuffer(data, _TYPES[kind]).reshape(dims)
