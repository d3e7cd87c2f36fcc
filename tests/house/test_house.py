"""Rules of the house that no linter knows: what is imported, declared, pinned and written down."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = sorted((ROOT / "src/intona").rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
# Imported by one name, installed by another.
DISTRIBUTION = {
    "faster_whisper": "faster-whisper",
    "whisper_normalizer": "whisper-normalizer",
    "silero_stress": "silero-stress",
    "espeakng_loader": "espeakng-loader",
    "monotonic_alignment_search": "monotonic-alignment-search",
    "lightning_fabric": "lightning",
    "huggingface_hub": "huggingface-hub",
}
# They come with a declared package and are asked only about its version or its errors.
WITH_ANOTHER = {
    "ctranslate2": "faster-whisper",
    "numba": "librosa",
    "onnx_ir": "onnxscript",
    "pymorphy3_dicts_ru": "pymorphy3",
}
# Found in a user's model, never imported by name.
NEVER = {"torchaudio", "torchvision", "torchcodec", "pickle", "dill", "joblib"}


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower()


def declared() -> dict[str, str]:
    """Every requirement of the project by its name, the extras' too."""
    lines = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        lines += extra
    return {name_of(line): line for line in lines}


def pins(file: str) -> dict[str, str]:
    text = (ROOT / file).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", text, flags=re.MULTILINE))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Top-level names of the absolute imports of a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0], node.lineno


def test_import_intona_costs_the_standard_library_only():
    code = """
import sys
before = set(sys.modules)
import intona
new = {m.partition(".")[0] for m in set(sys.modules) - before} - {"intona"}
print(sorted(new - set(sys.stdlib_module_names)))
assert {"load", "Audio", "__version__"} <= set(dir(intona))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True
    )
    assert done.stdout.strip() == "[]"


def test_text_and_audio_do_without_scipy_and_corpora_without_torch():
    code = """
import sys
import intona.text, intona.audio
from intona.text.languages.russian.accents import model
print("scipy" in sys.modules)
import intona.data.corpora, intona.data.prepare, intona.models, intona.doctor
print("torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_every_module_imports():
    names = [".".join(p.relative_to(ROOT / "src").with_suffix("").parts) for p in SOURCE]
    names = [n.removesuffix(".__init__") for n in names if not n.endswith("__main__")]
    assert len(names) > 20
    code = """
import importlib, sys
sys.modules["torchaudio"] = None  # nothing may need it
failed = []
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as e:
        failed.append(f"{name}: {e!r}")
print("\\n".join(failed), end="")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, timeout=600, check=True
    )
    assert done.stdout == ""


def test_every_package_has_an_init():
    folders = {p.parent for p in SOURCE}
    assert [str(f.relative_to(ROOT)) for f in sorted(folders) if not (f / "__init__.py").is_file()] == []


def test_every_import_is_declared():
    known = {name.replace("-", "_") for name in declared()} | set(DISTRIBUTION) | set(WITH_ANOTHER)
    known |= set(sys.stdlib_module_names) | {"intona"}
    strangers = [
        f"{p.relative_to(ROOT)}:{line}: {m}" for p in SOURCE for m, line in imports(p) if m not in known
    ]
    assert strangers == []
    assert {*DISTRIBUTION.values(), *WITH_ANOTHER.values()} <= set(declared())


def test_every_core_package_is_used():
    used = {m for p in SOURCE for m, _ in imports(p)}
    unused = [r for r in map(name_of, PROJECT["dependencies"]) if r.replace("-", "_") not in used]
    assert unused == []


def test_what_is_never_imported():
    found = [f"{p.relative_to(ROOT)}:{line}: {m}" for p in SOURCE for m, line in imports(p) if m in NEVER]
    assert found == []


def test_transformers_stands_in_the_adapters_that_the_contract_lists():
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    ignored = [i for c in contracts for i in c.get("ignore_imports", ())]
    allowed = {i.split(" -> ")[0] for i in ignored if "transformers" in i}
    users = {
        ".".join(p.relative_to(ROOT / "src").with_suffix("").parts)
        for p in SOURCE
        if any(m == "transformers" for m, _ in imports(p))
    }
    assert users <= allowed


def test_no_code_from_data_and_no_print_in_the_library():
    found = []
    for path in SOURCE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                call = ast.unparse(node.func)
                keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
                bad = call in ("eval", "exec", "os.system", "torch.hub.load", "np.load", "numpy.load")
                bad = bad and keywords.get("allow_pickle") != "False"
                bad |= call == "torch.load" and keywords.get("weights_only") != "True"
                bad |= keywords.get("trust_remote_code") == "True" or keywords.get("shell") == "True"
                # stdout is for data: only the command line writes there; training reports on stderr.
                talks = path.parts[-2] == "cli" or keywords.get("file") == "sys.stderr"
                bad |= call == "print" and not talks
                if bad:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {call}")
    assert found == []


def test_files_stay_short():
    long = {
        str(p.relative_to(ROOT)): n for p in SOURCE if (n := len(p.read_text("utf-8").splitlines())) > 450
    }
    assert long == {}, "past 400 lines ask what it is two of; past 450 it is two"


def test_every_requirement_is_pinned_inside_its_range():
    from packaging.requirements import Requirement

    pinned = pins("constraints.txt")
    (torch,) = re.findall(
        r"^TORCH \?= torch==(\S+)$", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE
    )
    pinned["torch"] = torch
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (pinned["torch"],) = re.findall(r"^TORCH \?= torch==(\S+)$", makefile, flags=re.MULTILINE)
    for name, line in declared().items():
        assert name in pinned, f"constraints.txt has no {name}"
        assert Requirement(line).specifier.contains(pinned[name], prereleases=True), (
            f"{line} is not {pinned[name]}"
        )


def test_offline_wheels_have_one_version_and_a_hash():
    text = (ROOT / "requirements-offline.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines and all(re.search(r" --hash=sha256:[0-9a-f]{64}$", line) for line in lines)
    wheels = pins("requirements-offline.txt")
    assert {f"{n}=={v}" for n, v in wheels.items()} >= set(PROJECT["optional-dependencies"]["offline"])


def test_doctor_knows_the_extras():
    from intona import doctor

    for extra, packages in doctor.EXTRAS.items():
        offered = set(map(name_of, PROJECT["optional-dependencies"][extra]))
        assert set(packages) <= offered, extra


def test_the_changelog_has_this_version():
    from intona import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_shipped_model_has_a_card_and_a_notice():
    notice = (ROOT / "NOTICE.md").read_text(encoding="utf-8")
    for folder in sorted(p for p in (ROOT / "models").iterdir() if p.is_dir()):
        assert f"`models/{folder.name}`" in notice, f"NOTICE.md does not name {folder.name}"
        cards = [folder / "card.json", folder / "MODEL_CARD.md"]
        assert any(c.is_file() for c in cards), f"{folder.name} has no card"
        assert not [p.name for p in folder.rglob("*") if p.suffix in (".pt", ".pth", ".pkl", ".ckpt", ".bin")]


def tracked() -> list[Path]:
    """Text files of the checkout that git does not ignore."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    suffixes = {".py", ".md", ".toml", ".txt", ".json", ".sh", ".yml", ""}
    paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    return [p for p in paths if p.is_file() and p.suffix in suffixes and p.stat().st_size < 1_000_000]


def test_no_machine_path_is_written_down():
    # Spelled in pieces, or this file would find itself.
    pattern = re.compile("|".join(["/" + "work/", "/" + "root/", "/" + r"home/\w", "/" + "opt/pypi"]))
    found = []
    for path in tracked():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []
