"""Folders of the Hugging Face package `datasets`: `save_to_disk`, and Parquet files as on the Hub.

The package itself is not needed; tables are read by pyarrow, one batch of rows at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from intona.data.corpora.fields import ID, described, plain_id, text_in
from intona.data.corpora.record import AUDIO_SUFFIXES, BadLine, Record, Refused, Source, clean_id
from intona.data.excerpt import MAX_BYTES, Excerpt
from intona.errors import UserError
from intona.extras import require

Rows = Iterator[Record | BadLine]
_SAVED = ("dataset_info.json", "state.json", "dataset_dict.json")


def huggingface(source: Source) -> Rows:
    """`save_to_disk` (`*.arrow` beside `dataset_info.json`, also in folders of splits), or `*.parquet`.

    Needed are a column of the type Audio (with the recordings inside, or paths) and one of texts. Columns
    of ids, speakers and languages are used if they are there. The splits of the data set are put together.
    """
    require("pyarrow", "this layout", where=source.root)
    arrow, parquet = sorted(source.root.rglob("*.arrow")), sorted(source.root.rglob("*.parquet"))
    arrow = [p for p in arrow if not p.name.startswith("cache-")]
    if not arrow and not parquet:
        raise UserError(
            "holds no *.arrow and no *.parquet",
            where=source.root,
            hint="give a folder of save_to_disk, or of Parquet files",
        )
    for path in arrow or parquet:
        try:
            source.inside(path.relative_to(source.root))
        except Refused as e:
            yield BadLine(id=clean_id(path.name), reason="refused path", detail=str(e))
            continue
        yield from (_arrow if arrow else _parquet)(source, path)


def _arrow(source: Source, path: Path) -> Rows:
    """A stream of Arrow batches, mapped: a recording is named by its place in the file."""
    import pyarrow as pa

    names = _class_names(path.parent / "dataset_info.json")
    try:
        with pa.memory_map(str(path)) as mapped:
            whole = mapped.read_buffer()
            reader = pa.ipc.open_stream(pa.BufferReader(whole))
            audio = _audio_column(reader.schema, path)
            first = 0
            for batch in reader:
                batch.validate(full=True)
                places, paths = _places(batch.column(audio), whole), _paths(batch.column(audio))
                for i, row in enumerate(batch.drop_columns([audio]).to_pylist()):
                    yield _record(source, path, first + i, row, names, paths[i], span=places[i])
                first += len(batch)
    except (pa.ArrowException, OSError, ValueError) as e:
        raise UserError(f"cannot be read ({e})", where=path) from None


def _parquet(source: Source, path: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            audio = _audio_column(schema, path)
            names = _names_in((schema.metadata or {}).get(b"huggingface", b"{}"))
            inside = [f.name for f in schema.field(audio).type] if _is_struct(schema, audio) else []
            # The recordings stay in the file; their paths are small.
            columns = [n for n in schema.names if n != audio] + (
                [f"{audio}.path"] if "path" in inside else []
            )
            first = 0
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=columns)
                for i, row in enumerate(table.to_pylist()):
                    cell = (audio, group, i)
                    yield _record(source, path, first + i, row, names, row.get(audio), cell=cell)
                first += len(table)
    except (pa.ArrowException, OSError, ValueError) as e:
        raise UserError(f"cannot be read ({e})", where=path) from None


def _record(
    source: Source,
    path: Path,
    number: int,
    row: dict[str, Any],
    names: dict[str, list[str]],
    audio: Any,
    *,
    span: tuple[int, int] | None = None,
    cell: tuple[str, int, int] | None = None,
) -> Record | BadLine:
    for name, labels in names.items():  # numbers of classes
        value = row.get(name)
        if isinstance(value, int) and 0 <= value < len(labels):
            row[name] = labels[value]
    name = _path_in(audio)
    default = f"{path.stem}/{number}"
    id = plain_id(text_in(row, ID) or _stem(name) or default)
    excerpt = Excerpt(suffix=_suffix(name), span=span, cell=cell)
    place = path
    if span is None and cell is None:
        if not name:
            return BadLine(id=id, reason="missing", detail=f"row {number} of {path.name} has no recording")
        try:
            place, excerpt = source.find_audio(name, "", "audio"), None
        except Refused as e:
            return BadLine(id=id, reason="refused path", detail=str(e))
    if span is not None and span[1] > MAX_BYTES:
        return BadLine(id=id, reason="bad member", detail=f"{span[1]} bytes, more than allowed")
    return described(source, row, id, place, excerpt)


def _audio_column(schema: Any, path: Path) -> str:
    """The column of recordings: by its type in the facts of the data set, by its parts, or by its name."""
    for field in schema:
        if _is_struct(schema, field.name) and "bytes" in [f.name for f in field.type]:
            return field.name
    for name in ("audio", "path", "file", "file_name"):
        if name in schema.names:
            return name
    raise UserError(f"no column of recordings among {', '.join(schema.names)[:100]}", where=path)


def _is_struct(schema: Any, name: str) -> bool:
    import pyarrow as pa

    return pa.types.is_struct(schema.field(name).type)


def _paths(column: Any) -> list[Any]:
    """The paths of a column of recordings, without the recordings."""
    import pyarrow as pa

    if not pa.types.is_struct(column.type):
        return column.to_pylist() if pa.types.is_string(column.type) else [None] * len(column)
    number = column.type.get_field_index("path")
    return [None] * len(column) if number < 0 else column.field(number).to_pylist()


def _places(column: Any, whole: Any) -> list[tuple[int, int] | None]:
    """First byte and number of bytes of each recording in the file; None for a row that has a path alone.

    Raises:
        ValueError: the bytes are elsewhere, as those of a compressed batch.
    """
    import pyarrow as pa

    number = column.type.get_field_index("bytes") if pa.types.is_struct(column.type) else -1
    if number < 0 or not _is_binary(column.field(number).type):
        return [None] * len(column)
    content = column.field(number)
    _, offsets, data = content.buffers()
    wide = np.int64 if pa.types.is_large_binary(content.type) else np.int32
    edges = np.frombuffer(offsets, wide)[content.offset :][: len(content) + 1].tolist()
    valid = content.is_valid().to_pylist()
    begins = (data.address if data is not None else whole.address) - whole.address
    if any(valid) and not 0 <= begins <= whole.size - edges[-1]:
        raise ValueError("its batches are compressed: save it without")
    return [
        (begins + a, b - a) if ok else None for a, b, ok in zip(edges[:-1], edges[1:], valid, strict=True)
    ]


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _path_in(audio: Any) -> str:
    value = audio.get("path") if isinstance(audio, dict) else audio
    return value if isinstance(value, str) else ""


def _stem(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].partition(".")[0]


def _suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if suffix in AUDIO_SUFFIXES else ".wav"


def _class_names(path: Path) -> dict[str, list[str]]:
    try:
        raw = path.read_bytes() if path.is_file() and path.stat().st_size < 1 << 24 else b"{}"
    except OSError:
        return {}
    return _names_in(raw)


def _names_in(raw: bytes) -> dict[str, list[str]]:
    """Names of the classes of each column of the type ClassLabel."""
    try:
        facts = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    facts = facts.get("info", facts) if isinstance(facts, dict) else {}
    features = facts.get("features") if isinstance(facts, dict) else None
    out = {}
    for name, feature in features.items() if isinstance(features, dict) else ():
        labels = feature.get("names") if isinstance(feature, dict) else None
        if isinstance(labels, list) and all(isinstance(x, str) for x in labels):
            out[name] = labels
    return out
