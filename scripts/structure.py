"""What the source looks like from outside: sizes, names, cycles, and how far it is from a text to a wav.

    python scripts/structure.py                   a table; --list names what was counted, --json for machines
    python scripts/structure.py --source DIR      another package (a directory with an __init__.py)

Definitions
    lines               physical lines of every .py file below the package
    function            `def` or `async def`, from its first decorator to its last line, nested ones included
    name                an identifier where it is defined (a function, class, parameter, variable, attribute,
                        what an import binds) or used; each occurrence counts, those of builtins too
    private name        one whose words, parted at underscores, include one of `PRIVATE`
    duplicate classes   names of top-level classes that stand in more than one module
    import cycle        modules that import each other in a circle (a strongly connected component). Imports
                        inside functions and under TYPE_CHECKING count. A package is imported where something
                        of its __init__ is; the root package, which everything imports, is left out. "With
                        strings" adds an edge for every string that is exactly the name of a module, or
                        "module:attribute"
    text to wav         modules of the package that are loaded after `load("ru").say("Да.")`
    knows a study       a file under systems/ that imports a module with the word "study" or "studies" in its
                        name, or has it in an identifier or in a string of one word
"""

from __future__ import annotations

import argparse
import ast
import functools
import json
import re
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PRIVATE = frozenset(("found", "said", "heard", "told", "own", "wanted", "asked", "made", "given", "taken"))
STUDY = frozenset({"study", "studies"})
SAY = """
import sys, warnings
warnings.simplefilter("ignore")
import PACKAGE
PACKAGE.load("ru").say("Да.", steps=1)
print("\\n".join(sorted(m for m in sys.modules if m.split(".")[0] == "PACKAGE")))
"""


@dataclass(frozen=True)
class Module:
    """A file of the package, parsed."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """What a relative import of one dot starts from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @functools.cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree, walked once."""
        return list(ast.walk(self.tree))

    @functools.cached_property
    def names(self) -> tuple[list[str], list[str]]:
        """Identifiers where they are defined, and every other occurrence of one."""
        return list(defined(self.nodes)), list(used(self.nodes))

    @property
    def root(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Function:
    name: str
    lines: int


def read(source: Path) -> list[Module]:
    """Every module of a package, by name."""
    modules = []
    for path in sorted(source.rglob("*.py")):
        parts = [source.name, *path.relative_to(source).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        modules.append(Module(name, path, text, ast.parse(text)))
    return modules


def functions(module: Module) -> Iterator[Function]:
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            yield Function(f"{module.name}:{node.name}", (node.end_lineno or first) - first + 1)


def defined(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Every identifier where it is given a meaning; an attribute where it is assigned."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest


def used(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Every other occurrence of an identifier."""
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names


def words(name: str) -> set[str]:
    return set(name.lower().split("_"))


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def strings(module: Module) -> Iterator[str]:
    """Every string that is no docstring and no name of a folder of files (`resources.files(...)`).

    In an f-string a module's own constants are filled in, as in f"{HERE}.trial:judge"; other fields are "?".
    """
    constants = {
        target.id: node.value.value
        for node in module.tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    passed = {id(n.value) for n in module.nodes if isinstance(n, ast.Expr)}
    for node in module.nodes:
        if isinstance(node, ast.Call) and _last_name(node.func) == "files":
            passed |= {id(a) for a in node.args}
        elif isinstance(node, ast.JoinedStr):
            passed |= {id(part) for part in node.values}
    for node in module.nodes:
        if isinstance(node, ast.JoinedStr):
            parts = [
                str(p.value)
                if isinstance(p, ast.Constant)
                else constants.get(ast.unparse(p.value), "?")
                if isinstance(p, ast.FormattedValue)
                else "?"
                for p in node.values
            ]
            yield "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
            yield node.value


def imports(module: Module, known: set[str]) -> set[str]:
    """Modules of the package that the import statements of one reach."""
    reached = set()
    for node in module.nodes:
        if isinstance(node, ast.Import):
            reached |= {alias.name for alias in node.names}
        if not isinstance(node, ast.ImportFrom):
            continue
        base = node.module or ""
        if node.level:
            parents = module.package.split(".")
            base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
        reached |= {f"{base}.{a.name}" if f"{base}.{a.name}" in known else base for a in node.names}
    return (reached & known) - {module.name, module.root}


def named(module: Module, known: set[str]) -> set[str]:
    """Modules of the package that strings of one name."""
    return ({s.partition(":")[0] for s in strings(module)} & known) - {module.name, module.root}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one node (Tarjan 1972, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    components = []
    for root in sorted(graph):
        if root in index:
            continue
        work = [(root, iter(sorted(graph[root])))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, children = work[-1]
            child = next(children, None)
            if child is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = []
                    while not component or component[-1] != node:
                        component.append(stack.pop())
                        on_stack.discard(component[-1])
                    if len(component) > 1:
                        components.append(sorted(component))
            elif child not in index:
                index[child] = low[child] = len(index)
                stack.append(child)
                on_stack.add(child)
                work.append((child, iter(sorted(graph[child]))))
            elif child in on_stack:
                low[node] = min(low[node], index[child])
    return sorted(components)


def duplicate_classes(modules: list[Module]) -> dict[str, list[str]]:
    """Class name -> the modules that define it, where there are several."""
    places = defaultdict(list)
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module.name)
    return {name: where for name, where in sorted(places.items()) if len(where) > 1}


def knows_a_study(module: Module, known: set[str]) -> bool:
    """Whether a module imports or names a study; its own name and its docstrings do not count."""
    reached = imports(module, known) | named(module, known)
    single = (s for s in strings(module) if re.fullmatch(r"[\w.:-]+", s))
    texts = (*reached, *module.names[0], *module.names[1], *single)
    mentioned = {word for text in texts for word in re.split(r"[^a-z]+", text.lower())}
    return not STUDY.isdisjoint(mentioned)


def say_modules(source: Path) -> list[str]:
    """Modules of the package that a word spoken by the shipped voice loads.

    Raises:
        RuntimeError: it does not speak.
    """
    done = subprocess.run(
        [sys.executable, "-c", SAY.replace("PACKAGE", source.name)],
        cwd=source.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}")
    return done.stdout.split()


def measure(source: Path) -> dict[str, Any]:
    """What the table shows, and under "lists" what was counted."""
    modules = read(source)
    known = {m.name for m in modules}
    sizes = {str(m.path.relative_to(source)): len(m.text.splitlines()) for m in modules}
    longest = max(sizes, key=lambda k: sizes[k])
    longest_function = max(
        (f for m in modules for f in functions(m)), key=lambda f: f.lines, default=Function("", 0)
    )
    definitions = Counter(name for m in modules for name in m.names[0])
    counts = definitions + Counter(name for m in modules for name in m.names[1])
    private = Counter({k: n for k, n in counts.items() if words(k) & PRIVATE})
    coined = sum(n for k, n in definitions.items() if words(k) & PRIVATE)
    statements = {m.name: imports(m, known) for m in modules}
    everything = {m.name: statements[m.name] | named(m, known) for m in modules}
    duplicates = duplicate_classes(modules)
    systems = [m for m in modules if "systems" in m.path.relative_to(source).parts[:-1]]
    studies = [m for m in systems if words(m.path.stem) & STUDY]
    others = [m for m in systems if m not in studies and knows_a_study(m, known)]
    return {
        "files": len(sizes),
        "lines": sum(sizes.values()),
        "median file": statistics.median_low(sizes.values()),
        "longest file": sizes[longest],
        "longest function": longest_function.lines,
        "names": counts.total(),
        "private names": private.total(),
        "share of private names": private.total() / max(1, counts.total()),
        "the same where names are defined": coined / max(1, definitions.total()),
        "duplicate class names": len(duplicates),
        "import cycles": len(cycles(statements)),
        "import cycles with strings": len(cycles(everything)),
        "files under systems/": len(systems),
        "of them studies": len(studies),
        "of the others, files that know a study": len(others),
        "lists": {
            "longest file": longest,
            "longest function": longest_function.name,
            "private names": dict(private.most_common()),
            "duplicate class names": duplicates,
            "import cycles": cycles(statements),
            "import cycles with strings": cycles(everything),
            "of them studies": [m.name for m in studies],
            "of the others, files that know a study": [m.name for m in others],
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what the source looks like from outside.")
    parser.add_argument("--source", type=Path, default=ROOT / "src" / "intona", metavar="DIR")
    parser.add_argument("--list", action="store_true", help="name what was counted")
    parser.add_argument("--json", action="store_true", help="everything as JSON")
    parser.add_argument("--no-say", action="store_true", help="leave out what needs the shipped voice")
    options = parser.parse_args()
    report = measure(options.source.resolve())
    lists = report.pop("lists")
    if not options.no_say:
        try:
            lists["modules from text to wav"] = say_modules(options.source.resolve())
            report["modules from text to wav"] = len(lists["modules from text to wav"])
        except RuntimeError as e:
            print(f"structure: modules from text to wav not counted: {e}", file=sys.stderr)
    if options.json:
        print(json.dumps({**report, "lists": lists}, indent=2, ensure_ascii=False))
        return
    for name, value in report.items():
        shown = f"{value:.2%}" if isinstance(value, float) else f"{value:,}"
        note = lists[name] if isinstance(lists.get(name), str) else ""
        print(f"{name:<40} {shown:>10}  {note}".rstrip())
    if options.list:
        for name, what in lists.items():
            if not isinstance(what, str):
                print(f"\n{name}")
                for entry in what.items() if isinstance(what, dict) else what:
                    print(f"  {entry if isinstance(entry, str) else ' '.join(map(str, entry))}")


if __name__ == "__main__":
    main()
