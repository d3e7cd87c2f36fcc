"""The registry of shipped models, and `intona models`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from intona import cli, models
from intona.errors import UserError


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three models; the checkout's own are hidden."""
    shelf = tmp_path / "models"
    card = {
        "kind": "voice",
        "language": "ru",
        "trained_on": "festvox-ru, 1.5 h",
        "licence": "BSD-like",
        "steps": 9,
    }
    for name in ("anna", "hifigan", "plain"):
        (shelf / name).mkdir(parents=True)
    (shelf / "anna/card.json").write_text(json.dumps(card))
    (shelf / "anna/model.safetensors").write_bytes(b"x" * 2_000_000)
    (shelf / "hifigan/MODEL_CARD.md").write_text("---\nkind: vocoder\nlicense: 'MIT'\n---\n# HiFi-GAN\n")
    monkeypatch.setattr(models, "folders", lambda: [shelf])
    return shelf


def test_shipped_are_those_with_a_card(shelf: Path):
    assert [(c.name, c.kind, c.licence) for c in models.shipped()] == [
        ("anna", "voice", "BSD-like"),
        ("hifigan", "vocoder", "MIT"),
    ]
    anna = models.shipped("voice")[0]
    assert anna.more == {"steps": 9}
    assert anna.megabytes == pytest.approx(2.0, abs=0.01)


def test_a_card_is_not_read_without_end(tmp_path: Path):
    (tmp_path / "MODEL_CARD.md").write_text("---\nkind: " + "x" * (1 << 20) + "\n---\n")
    assert models.card_fields(tmp_path) == {}


def test_find_by_name_and_by_directory(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    assert models.find("anna") == shelf / "anna"
    assert models.find(shelf / "plain") == shelf / "plain"
    monkeypatch.chdir(shelf)
    assert models.find("./plain") == Path("plain")


def test_a_shipped_name_wins_over_a_folder_of_the_working_directory(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "anna").mkdir()
    monkeypatch.chdir(tmp_path)
    assert models.find("anna") == shelf / "anna"
    assert models.find("./anna") == Path("anna")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ana", r'is named "ana"; did you mean "anna"\?'),
        ("./nowhere", r"no such model directory"),
        ("../../etc/passwd", r"no such model directory"),
        ("", r"no shipped voice"),
        ("a\0b", r"no shipped voice"),
        ("x" * 5000, r"no shipped voice"),
        ("hifigan", r"no shipped voice"),
    ],
)
def test_what_is_not_there_is_refused(shelf: Path, name: str, message: str):
    with pytest.raises(UserError, match=message) as caught:
        models.find(name, kind="voice")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_broken_card_names_its_file(shelf: Path):
    (shelf / "anna/card.json").write_text('{"kind": "voice",')
    with pytest.raises(UserError, match=r"card\.json: not valid JSON"):
        models.shipped()


def test_folders_come_from_the_environment_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INTONA_MODELS", str(tmp_path))
    assert models.folders()[0] == tmp_path


def test_models_verb(shelf: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["models"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].split("\t") == ["anna", "voice", "ru", "", "festvox-ru, 1.5 h", "BSD-like", "2.0 MB"]
    assert cli.main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["name"] == "anna" and rows[0]["steps"] == 9


def test_models_verb_without_models(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(models, "folders", list)
    assert cli.main(["models"]) == 1
    assert "no model is shipped here" in capsys.readouterr().err


def test_an_alias_means_the_model_unless_a_folder_has_its_name(
    shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = {"kind": "voice", "language": "en, ru", "aliases": {"eng": "en", "anna": "ru"}}
    (shelf / "two").mkdir()
    (shelf / "two/card.json").write_text(json.dumps(two))
    assert models.find("eng") == models.find("eng", kind="voice") == shelf / "two"
    assert models.find("anna") == shelf / "anna" and models.alias("anna") is models.alias("two") is None
    cards = {c.name: c for c in models.shipped("voice")}
    assert (cards["eng"].alias_of, cards["eng"].language) == ("two", "en")
    assert cards["anna"].alias_of == "" and sorted(cards) == ["anna", "eng", "two"]
    assert [c.name for c in models.shipped("voice", aliases=False)] == ["anna", "two"]
    with pytest.raises(UserError, match='did you mean "eng"'):
        models.find("engl", kind="voice")
    with pytest.raises(UserError, match='no shipped vocoder and no directory is named "eng"'):
        models.find("eng", kind="vocoder")
    assert cli.main(["models", "eng"]) == 0
    assert "eng\tvoice\ten\t" in capsys.readouterr().out


@pytest.mark.parametrize("aliases", [["en"], {"en": 1}, {"../en": "en"}])
def test_aliases_of_another_form_name_the_card(shelf: Path, aliases: object) -> None:
    (shelf / "anna/card.json").write_text(json.dumps({"kind": "voice", "aliases": aliases}))
    with pytest.raises(UserError, match="anna: card: aliases"):
        models.shipped()
