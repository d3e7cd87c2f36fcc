"""Word and character error rates of what the recognizer understands (`recognizer.py`)."""

from __future__ import annotations

from typing import Any, Self

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation.judges.base import Inputs, Judge, Measure, Score, Unavailable
from intona.evaluation.judges.recognizer import shared_recognizer
from intona.evaluation.judges.speech import no_speech
from intona.evaluation.judges.transcript import Recognizer, Transcript
from intona.evaluation.judges.wer import character_edits, characters, word_edits
from intona.evaluation.manifest import Row
from intona.evaluation.normalize import Normalizer, digit_warning, normalizer


class TranscriptJudge(Judge):
    """A judge of what a recognizer understands.

    Args:
        normalize: applied to the text and the transcript alike.
    """

    needs = ("recognizer",)
    checks_speech = True

    def __init__(self, transcribe: Recognizer, normalize: Normalizer) -> None:
        self.transcribe = transcribe
        self.normalize = normalize

    @classmethod
    def build(cls, inputs: Inputs) -> Self | Unavailable:
        # The settings of "asr" are those of the recognizer, which all these judges share.
        settings = {} if cls.name == "asr" else inputs.settings.get(cls.name, {})
        return cls.construct(settings, shared_recognizer(inputs), normalizer(inputs.language))

    def describe(self) -> dict[str, Any]:
        return {**self.transcribe.describe(), "normalizer": self.normalize.id}

    def unspoken(self, audio: Audio, row: Row) -> str | None:
        """See `speech.no_speech`."""
        return no_speech(self.transcribe, self.normalize, audio, row)

    def warnings(self, rows: tuple[Row, ...]) -> list[str]:
        warning = digit_warning(rows, self.normalize.language)
        return [warning] if warning else []


class AsrJudge(TranscriptJudge):
    """WER and CER of a transcript against the text of the manifest; a failed output has all words deleted."""

    name = "asr"
    measures = (
        Measure(
            name="wer",
            title="WER",
            pooled=True,
            failed=1.0,
            better="lower",
            digits=3,
            capped=True,
            headline=True,
        ),
        Measure(
            name="cer",
            title="CER",
            pooled=True,
            failed=1.0,
            better="lower",
            digits=3,
            capped=True,
            headline=True,
        ),
    )

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        return self.compare(row, self.transcribe(audio))

    def failed(self, row: Row) -> dict[str, Score]:
        return self.compare(row, Transcript(text=""))

    def compare(self, row: Row, transcript: Transcript) -> dict[str, Score]:
        """The scores of a transcript.

        Raises:
            UserError: the text of the row has no letter left after normalization.
        """
        text, hypothesis = self.normalize(row.text), self.normalize(transcript.text)
        if not characters(text):
            what = f'nothing is left of "{row.text}" after normalization'
            raise UserError(what, where=f"manifest, {row.id}")
        scores = {}
        for name, count in (("wer", word_edits), ("cer", character_edits)):
            edits = count(text, hypothesis)
            detail: dict[str, Any] = {
                "substitutions": edits.substitutions,
                "deletions": edits.deletions,
                "insertions": edits.insertions,
                "reference": edits.reference,
            }
            if name == "wer":
                detail |= {"hypothesis": transcript.text, "looped": transcript.looped}
            scores[name] = Score(
                value=edits.rate, numerator=edits.errors, denominator=edits.reference, detail=detail
            )
        return scores
