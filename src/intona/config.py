"""Typed configs: frozen dataclasses, strict load and save, dotted overrides.

A config is a frozen keyword-only dataclass beside the class it builds. `load` rejects unknown keys, wrong
types and non-finite numbers; the error names the field and the nearest known one.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from intona import registry
from intona.errors import UserError, nearest
from intona.files import write_whole

C = TypeVar("C")
MAX_CONFIG_BYTES = 1 << 20
KIND = "kind"
STACKS, MAX_STACK = ("layers", "depth", "blocks"), 1000  # building a million layers would take hours
_FRACTION = re.compile(r"[+-]?(\d+\.|\.\d+)")  # "1." or ".5": common, but not valid JSON


class PartConfig:
    """Base of the configs of one group of parts, in which `kind` names the part (see `intona.registry`).

    A field annotated with such a base takes the config of any registered part: the value's `kind` decides
    which. A part's config is a frozen dataclass with `kind: Literal["name"] = "name"`.

    Attributes:
        group: in which the parts are registered. default_kind: of configs that name none.
    """

    group: ClassVar[str]
    default_kind: ClassVar[str]
    kind: Any


def to_dict(config: Any) -> dict[str, Any]:
    """A config as plain JSON types."""
    return dataclasses.asdict(config)


def save(config: Any, path: Path) -> None:
    write_json(path, to_dict(config))


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented; whole or not at all."""
    write_whole(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def read_text(path: Path | str, max_bytes: int) -> str:
    r"""The text of a UTF-8 file with "\n" as the only line end.

    Split it at "\n": `splitlines` would also split at U+2028.

    Raises:
        UserError: a pipe or a device (reading could block), too large, unreadable, or not UTF-8.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise UserError("not a plain file", where=path)
        with open(path, "rb") as f:
            raw = f.read(max_bytes + 1)
        if len(raw) > max_bytes:
            raise UserError(f"more than the {max_bytes} bytes allowed", where=path)
        return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise UserError("not UTF-8 text", where=path) from None
    except OSError as e:
        raise UserError(f"cannot be read ({e.strerror})", where=path) from None
    except ValueError as e:  # a NUL in its name
        raise UserError(f"cannot be read ({e})", where=repr(str(path))) from None


def read_json(path: Path, *, max_bytes: int = MAX_CONFIG_BYTES) -> Any:
    """Read a JSON file defensively: size cap, no duplicate key, no NaN; errors name the file."""
    raw = read_text(path, max_bytes)
    try:
        return json.loads(raw, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as e:
        raise UserError(f"not valid JSON ({e})", where=path) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for k, v in pairs:
        if k in out:
            raise ValueError(f'key "{k}" is there twice')
        out[k] = v
    return out


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _finite(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError(f"{digits} is too large for a number")
    return value


def load(cls: type[C], path: Path) -> C:
    """Read a config from a JSON file.

    Raises:
        UserError: unreadable file, unknown key (nearest name offered), wrong type.
    """
    return from_dict(cls, read_json(path), where=str(path))


def from_dict(cls: type[C], value: Any, *, where: str = "config") -> C:
    """Build `cls` from plain JSON types; errors as in `load`."""
    return _coerce(cls, value, where)


def override(config: C, assignments: Mapping[str, str], *, where: str = "command line") -> C:
    """Apply assignments such as `{"optim.lr": "1e-4"}`; values are read as JSON, or else as text."""
    tree = to_dict(config)
    # Kinds first: a part of another kind has other fields.
    for dotted, text in sorted(assignments.items(), key=lambda a: a[0].rpartition(".")[2] != KIND):
        node: Any = tree
        keys = dotted.replace("-", "_").split(".")
        for i, key in enumerate(keys):
            if node is None and (defaults := _optional_at(type(config), keys[:i])) is not None:
                node = _at(tree, keys[: i - 1])[keys[i - 1]] = defaults
            if not isinstance(node, dict) or key not in node:
                known = list(node) if isinstance(node, dict) else []
                prefix = ".".join(keys[:i])
                raise UserError(
                    f'unknown config key "{dotted}"',
                    where=where,
                    hint=nearest(key, known) + (f" under {prefix}" if prefix else ""),
                )
            if i < len(keys) - 1:
                node = node[key]
        try:
            parsed = json.loads(text, parse_constant=_no_constant)
        except ValueError:
            words = {"True": True, "False": False, "None": None}
            parsed = float(text) if _FRACTION.fullmatch(text) else words.get(text, text)
        if keys[-1] == KIND and (base := _part_at(config, keys[:-1])) is not None and node[KIND] != parsed:
            other = to_dict(_part(base, {KIND: parsed}, where))
            node.clear()
            node.update(other)
        node[keys[-1]] = parsed
    return from_dict(type(config), tree, where=where)


def _at(tree: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        tree = tree[key]
    return tree


def _optional_at(cls: Any, keys: Sequence[str]) -> dict[str, Any] | None:
    """The defaults of an optional table that a config has None for; None if the field is no such table."""
    for key in keys:
        if not dataclasses.is_dataclass(cls):
            return None
        kind = typing.get_type_hints(cls).get(key)
        options = [o for o in typing.get_args(kind) if dataclasses.is_dataclass(o)]
        cls = options[0] if len(options) == 1 else kind
    return to_dict(cls()) if dataclasses.is_dataclass(cls) and isinstance(cls, type) else None


def at_least(config: Any, **bounds: float) -> None:
    """`within`, without upper bounds."""
    within(config, **{name: (bound, math.inf) for name, bound in bounds.items()})


def within(config: Any, **bounds: tuple[float, float]) -> None:
    """Check numeric fields in `__post_init__`; None passes.

    Raises:
        ValueError: a value is outside its bounds; names the field, the value and the bound.
    """
    for name, (low, high) in bounds.items():
        value = getattr(config, name)
        if value is not None and not low <= value <= high:
            bound = f"at most {high:g}" if value > high else f"at least {low:g}"
            raise ValueError(f"{name} is {value}: {bound}")


def diff(a: Any, b: Any) -> list[str]:
    """Lines `field: a -> b` for every field that differs."""
    fa, fb = flat(to_dict(a)), flat(to_dict(b))
    return [f"{k}: {fa.get(k)!r} -> {fb.get(k)!r}" for k in {**fa, **fb} if fa.get(k) != fb.get(k)]


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """A nested table as "outer.inner" -> value."""
    if not isinstance(tree, dict):
        return {prefix[:-1]: tree}
    return {k: v for name, sub in tree.items() for k, v in flat(sub, f"{prefix}{name}.").items()}


def parts_of(config: Any) -> list[tuple[str, str]]:
    """(group, kind) of every part in a config, whatever holds it."""
    if not dataclasses.is_dataclass(config):
        return []
    parts = [(config.group, config.kind)] if isinstance(config, PartConfig) else []
    for field in dataclasses.fields(config):
        parts += parts_of(getattr(config, field.name))
    return parts


def _part_at(config: Any, keys: Sequence[str]) -> type[PartConfig] | None:
    """The group's base class where a config holds a part."""
    for key in keys:
        config = getattr(config, key, None)
    bases = [c for c in type(config).__mro__ if PartConfig in c.__bases__]
    return bases[0] if bases else None


def _part(base: type[PartConfig], value: Any, where: str) -> Any:
    """The config of a registered part, by its kind."""
    if not isinstance(value, dict):
        raise UserError(f"expected a table of fields, not {_show(value)}", where=where)
    kind = registry.get(base.group, str(value.get(KIND, base.default_kind)), where=f"{where}: {KIND}")
    if not (isinstance(kind, type) and issubclass(kind, base) and dataclasses.is_dataclass(kind)):
        problem = f"{kind!r} is registered as {base.group} and is no {base.__name__}"
        raise UserError(problem, where=where)
    return _coerce(kind, value, where)


def _coerce(kind: Any, value: Any, where: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, PartConfig) and not dataclasses.is_dataclass(kind):
        return _part(kind, value, where)
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise UserError(f"expected a table of fields, found {_show(value)}", where=where)
        hints = typing.get_type_hints(kind)
        fields = {f.name: f for f in dataclasses.fields(kind) if f.init}
        for key in value:
            if key not in fields:
                raise UserError(f'unknown key "{key}"', where=where, hint=nearest(key, fields))
        for name, f in fields.items():
            if (
                name not in value
                and f.default is dataclasses.MISSING
                and f.default_factory is dataclasses.MISSING
            ):
                raise UserError(f'missing key "{name}"', where=where)
        values = {k: _coerce(hints[k], v, f"{where}: {k}") for k, v in value.items()}
        for name, v in values.items():
            if name.rpartition("_")[2] in STACKS and isinstance(v, int) and v > MAX_STACK:
                raise UserError(f"{v} is more than {MAX_STACK} {name}", where=where)
        try:
            return kind(**values)  # type: ignore[operator]
        except (ValueError, ArithmeticError) as e:
            raise UserError(str(e), where=where) from None
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        if value not in args:
            raise UserError(
                f"{_show(value)} is not a choice", where=where, hint=nearest(str(value), map(str, args))
            )
        return value
    if origin is not None and origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        errors = []
        for option in _of_kind(args, value):
            if option is type(None):
                continue
            try:
                return _coerce(option, value, where)
            except UserError as e:
                errors.append(e)
        raise errors[0]
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            raise UserError(f"expected a list, found {_show(value)}", where=where)
        if origin is tuple and args and args[-1] is not Ellipsis:
            if len(value) != len(args):
                raise UserError(f"expected {len(args)} values, found {len(value)}", where=where)
            return tuple(
                _coerce(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, value, strict=True))
            )
        return origin(_coerce(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise UserError(f"expected a table, found {_show(value)}", where=where)
        return {_coerce(args[0], k, where): _coerce(args[1], v, f"{where}: {k}") for k, v in value.items()}
    if kind is Any:
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # an int of hundreds of digits
            number = math.inf
        if not math.isfinite(number):
            raise UserError("must be a finite number", where=where)
        return number
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, kind):
        raise UserError(f"expected {kind.__name__}, found {_show(value)}", where=where)
    return value


def _of_kind(options: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    """Of several dataclasses, the one with the `kind` of the value, so that only its errors are reported.

    A value without `kind` means the class without `kind`.
    """
    classes = [o for o in options if dataclasses.is_dataclass(o)]
    if len(classes) < 2 or not isinstance(value, dict):
        return options
    kinds = {o: typing.get_args(typing.get_type_hints(o).get("kind")) for o in classes}
    if "kind" not in value:
        return tuple(o for o, names in kinds.items() if not names) or options
    return tuple(o for o, names in kinds.items() if value["kind"] in names) or options


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
