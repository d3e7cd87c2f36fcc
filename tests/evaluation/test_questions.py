"""benchmarks/questions.py on voices whose pitch is known."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from intona.audio import Audio
from intona.errors import UserError

pytest.importorskip("parselmouth", reason="F0 is measured with Praat")
RATE, SECONDS = 16000, 0.3  # of a word


@pytest.fixture(scope="module")
def questions(root: Path) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "benchmarks"))
        import questions as module

        yield module
        for name in ("questions", "question_texts"):
            sys.modules.pop(name, None)


@dataclass
class Tones:
    """Each word is a tone of 150 Hz; in a question the nucleus is 6 and the last word 3 semitones higher."""

    nuclei: frozenset[str]
    times: bool = True

    @property
    def capabilities(self) -> Any:
        return SimpleNamespace(times=self.times)

    def say(self, text: str, **options: Any) -> Audio:
        words = [w.strip(".,!?").lower() for w in text.split()]
        raised = "?" in text
        semitones = [6.0 if raised and w in self.nuclei else 0.0 for w in words]
        if raised:
            semitones[-1] = max(semitones[-1], 3.0)
        f0 = np.repeat(150 * 2 ** (np.array(semitones) / 12), round(SECONDS * RATE))
        phase = 2 * np.pi * np.cumsum(f0) / RATE
        wave = sum(np.sin(k * phase) / k for k in range(1, 9))
        return Audio((0.1 * np.asarray(wave)).astype(np.float32), RATE)

    def speech(self, text: str, **options: Any) -> Any:
        words = [
            SimpleNamespace(text=w.strip(".,!?"), start=i * SECONDS, end=(i + 1) * SECONDS)
            for i, w in enumerate(text.split())
        ]
        return SimpleNamespace(audio=self.say(text), words=words)


@pytest.mark.parametrize("times", [True, False])
def test_the_rise_of_questions_is_measured(
    questions: ModuleType, monkeypatch: pytest.MonkeyPatch, times: bool
) -> None:
    pairs = [("Ты видел дом?", "Ты видел дом.", "видел"), ("Ваша мама поёт?", "Ваша мама поёт.", "мама")]
    monkeypatch.setattr(questions, "YES_NO", {"ru": pairs})
    monkeypatch.setattr(questions, "WH", {"ru": ["Где ты?"]})
    monkeypatch.setattr(questions, "EXCLAMATION", {"ru": ["Мы там"]})
    monkeypatch.setattr(questions, "LIST", {"ru": ["Рим, дом, дым."]})
    voice = Tones(frozenset(("видел", "мама")), times)
    speak = questions.Speaker(voice, {}, judge=SimpleNamespace(predict=lambda audio: 4.0), folder=None)
    rows = questions.summary(questions.measures(speak, "ru"))
    peak = rows["yes-no: peak of the nucleus, question - statement"]
    assert peak["mean"] == pytest.approx(6, abs=0.1) and peak["n"] == 2
    assert rows["yes-no: end, question - statement"]["mean"] == pytest.approx(3, abs=0.1)
    assert rows["yes-no: DistillMOS, question - statement"]["mean"] == 0
    assert rows["exclamation: peak, exclamation - statement"]["mean"] == pytest.approx(0, abs=0.05)
    assert ("list: end of the items above the end of the last" in rows) == times
    assert "| +6.0" in questions.table(rows, "tones")


def test_the_word_of_the_nucleus_is_where_its_times_are(questions: ModuleType) -> None:
    speak = questions.Speaker(Tones(frozenset(("видел",))), {}, judge=None, folder=None)
    spoken = speak("Ты видел дом?")
    assert spoken.part("видел").peak - spoken.part("ты").peak == pytest.approx(6, abs=0.1)
    with pytest.raises(UserError, match='no word "кот"'):
        spoken.part("кот")


def test_texts_are_many_and_their_nuclei_are_their_words(questions: ModuleType) -> None:
    from intona.text.frontend import Utterance, Word
    from intona.text.intonation import clauses_of

    for language, pairs in questions.YES_NO.items():
        assert len(pairs) >= 20 and len(set(pairs)) == len(pairs)
        for question, statement, nucleus in pairs:
            assert question.endswith("?") and statement.endswith(".")
            for text in (question, statement):
                assert nucleus in [w.strip(".?") for w in text.split()]
            words = question.strip("?").lower().split()
            row, spans = [], []
            for w in words:
                row += [" "] if row else []
                spans.append(Word(w, len(row), len(row) + len(w)))
                row += w
            u = Utterance(text=question, normalized=question, phonemes=(*row, "?"), words=tuple(spans))
            (clause,) = clauses_of(u, language)
            assert (clause.type, words[clause.nucleus]) == ("yes_no", nucleus.lower())
    assert len(questions.texts_of("ru")) == len(set(questions.texts_of("ru")))


def test_texts_of_the_corpus_are_refused(questions: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [SimpleNamespace(text="Поезд, опоздал!"), SimpleNamespace(text="Мы вчера уехали.")]
    monkeypatch.setattr("intona.data.prepared.Prepared.open", lambda path: items)
    with pytest.raises(UserError, match="the corpus holds"):
        questions.require_unseen(["Поезд опоздал?"], Path("data"))
    questions.require_unseen(["Опоздал, мы?"], Path("data"))  # across two utterances
