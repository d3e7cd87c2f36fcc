"""Jobs of `study meld` alone: speech and how it ends, transcripts, baselines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intona import config as configs
from intona.audio import Audio
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.evaluation import read_manifest
from intona.evaluation.judges.wer import character_edits, word_edits
from intona.evaluation.manifest import Manifest
from intona.evaluation.normalize import normalizer
from intona.evaluation.wavs import index_folder, read_clip
from intona.jsonl import whole_rows
from intona.studies.engine.stages import (
    MANIFEST,
    PROMPTS,
    RECORDINGS,
    RESULTS,
    RUN,
    WAVS,
    TimeIsUp,
    require_corpus,
    until,
)
from intona.synth.batch import SetConfig, row_seed, synthesize_set
from intona.synth.capabilities import Capabilities
from intona.synth.options import SpeakOptions
from intona.synth.prompts import kept, languages_of, read_columns
from intona.synth.voice import PAUSE_SECONDS, BaseVoice
from intona.systems.meld import voice as speech_lm
from intona.systems.meld import whole
from intona.systems.meld.voice import MeldVoice

ENDINGS, TRANSCRIPTS = "endings.jsonl", "heard.jsonl"
MOST_CANDIDATES = 1000
AT_ONCE_SECONDS = 0.3  # speech shorter than this counts as "ended at once"


class EndingRecorder(BaseVoice):
    """A `MeldVoice` for `synthesize_set` that also records how each row ended.

    Args:
        notes: a file that gets one line per row. names: seed of `say` -> id of the row.
        penalty: the repetition penalty; None = the voice's default.
    """

    capabilities = Capabilities(
        system="meld",
        options=frozenset({"language", "reference", "reference_text"}),
        needs_reference_text=True,
    )

    def __init__(
        self, voice: MeldVoice, notes: Path, names: Mapping[int, str], penalty: float | None = None
    ) -> None:
        self.voice, self.notes, self.names = voice, notes, names
        self.sample_rate = voice.sample_rate
        if penalty is not None:
            voice.sampling = configs.override(voice.sampling, {"penalty": f"{penalty:g}"})

    def identity(self) -> dict[str, Any]:
        return {**self.voice.identity(), "sampling": configs.to_dict(self.voice.sampling)}

    def preload(self) -> None:
        self.voice.preload()

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        """As `MeldVoice.say`, written down; a row that was cut, or a silence, is a failure.

        Raises:
            UserError: nothing to say; a sentence that did not end by itself or ended at once.
        """
        v = self.voice
        reference = v.reference(options.recording(), options.reference_text, options.language)
        pause = np.zeros(round(PAUSE_SECONDS * v.spec.sample_rate), dtype=np.float32)
        waves: list[np.ndarray] = []
        frames, capped, empty = 0, 0, 0
        for place, (_, pieces) in enumerate(v.sentences(text, options.language)):
            drawn = whole(
                v.mels(
                    pieces,
                    reference=reference,
                    seed=options.seed,
                    place=str(place),
                    chunk=1 << 30,
                )
            )
            mel = drawn.mel
            frames += len(mel)
            capped += not drawn.ended
            empty += not len(mel)
            wave = v.vocoder.decode(mel[None].float().cpu())[0].float().numpy() if len(mel) else pause
            waves += [pause, wave] if waves else [wave]
        if not waves:
            raise UserError("nothing to say", where="text")
        row = {
            "id": self.names.get(options.seed, ""),
            "sentences": len(waves) // 2 + 1,
            "capped": capped,
            "empty": empty,
            "seconds": v.spec.seconds(frames),
        }
        with open(self.notes, "a", encoding="utf-8") as f:
            f.write(json.dumps(row) + "\n")
        if capped or empty:
            what = "did not end by itself" if capped else "nothing was spoken, the model ended at once"
            raise UserError(f"{capped or empty} of {row['sentences']} sentences: {what}")
        return Audio(np.clip(np.concatenate(waves), -1, 1), v.spec.sample_rate)


def trained(job: Path) -> Path:
    """The weights that every arm is evaluated with: the best ones on the dev set."""
    run = job / RUN
    return run / "best" if (run / "best").is_dir() else run


def speak(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    voice: str,
    test: str,
    seed: int,
    penalty: float | None = None,
    prompts: bool = False,
) -> bool:
    """Speak the test manifest with the voice of job `voice` into `out/wavs`, and write ENDINGS."""
    manifest = read_manifest(needs[test] / MANIFEST)
    names = {row_seed(seed, row.id): row.id for row in manifest.rows}
    recorder = EndingRecorder(speech_lm.load(trained(needs[voice])), out / ENDINGS, names, penalty)
    try:
        spoken = synthesize_set(
            recorder,
            manifest,
            out / WAVS,
            SetConfig(seed=seed),
            prompts=kept(needs[test] / PROMPTS) if prompts else None,
            languages=languages_of(read_columns(needs[test] / MANIFEST)),
            progress=until(limit_minutes),
        )
    except TimeIsUp:
        return False
    # It is a result that every row was cut, but an error that no row could be attempted.
    if len(spoken.failures) == spoken.n and not by_id(out / ENDINGS):
        raise UserError(f"none of {spoken.n} sentences could be spoken: {spoken.failures[0].reason}")
    return True


def by_id(path: Path) -> dict[str, dict[str, Any]]:
    """Rows of an append-only file by id; the last row of an id counts."""
    return {row["id"]: row for row in whole_rows(path)}


def listen(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    voice: str,
    speech: str,
    test: str,
    recordings: bool,
    language: str,
) -> bool:
    """Transcribe the model's speech, and with `recordings` the recordings of the test set, greedily.

    Args:
        speech: the job that spoke the test set.

    RESULTS holds "recordings" and "own" (the model's speech), each id -> transcript and its errors.
    """
    manifest = read_manifest(needs[test] / MANIFEST)
    sources = {"own": index_folder(needs[speech] / WAVS, manifest)[0]}
    if recordings:
        sources["recordings"] = index_folder(needs[test] / RECORDINGS, manifest)[0]
    model = speech_lm.load(trained(needs[voice]))
    check_time, done = until(limit_minutes), 0
    total = len(manifest) * len(sources)
    path = out / TRANSCRIPTS
    transcripts = by_id(path)
    try:
        for kind, files in sources.items():
            for row in manifest.rows:
                check_time(done, total, "")
                done += 1
                key = f"{kind}/{row.id}"
                if key in transcripts:
                    continue
                transcripts[key] = {"id": key, "text": _transcribe(model, files.get(row.id))}
                with open(path, "a", encoding="utf-8") as f:
                    f.write(json.dumps(transcripts[key], ensure_ascii=False) + "\n")
    except TimeIsUp:
        return False
    texts = {
        kind: {row.id: str(transcripts[f"{kind}/{row.id}"]["text"]) for row in manifest.rows}
        for kind in sources
    }
    configs.write_json(out / RESULTS, {kind: scored(manifest, t, language) for kind, t in texts.items()})
    return True


def _transcribe(model: MeldVoice, path: Path | None) -> str:
    """The transcript; empty for a missing or silent file."""
    clip = read_clip(path)
    if clip.audio is None:
        return ""
    try:
        return " ".join(w.text for w in model.transcribe(clip.audio) if w.text)
    except UserError:  # no level above silence
        return ""


def scored(manifest: Manifest, transcripts: Mapping[str, str], language: str) -> dict[str, dict[str, Any]]:
    """Id -> transcript, its word and character errors against the manifest's text, reference counts."""
    normalize = normalizer(language)
    out = {}
    for row in manifest.rows:
        reference, hypothesis = normalize(row.text), normalize(transcripts[row.id])
        words, letters = word_edits(reference, hypothesis), character_edits(reference, hypothesis)
        out[row.id] = {
            "text": transcripts[row.id],
            "word_errors": words.errors,
            "words": words.reference,
            "character_errors": letters.errors,
            "characters": letters.reference,
        }
    return out


def baselines(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    test: str,
    language: str,
) -> None:
    """Scores of two transcribers that do not listen: no transcript, and always the same training sentence.

    That sentence is the most frequent of the training texts; among equally frequent ones, the one with the
    fewest word errors as the transcript of every dev text.
    """
    require_corpus(data, corpus)
    prepared, manifest = Prepared.open(data), read_manifest(needs[test] / MANIFEST)
    sentence = frequent(
        [i.text for i in prepared.items("train")], [i.text for i in prepared.items("dev")], language
    )
    scores = {
        name: scored(manifest, {row.id: text for row in manifest.rows}, language)
        for name, text in (("nothing", ""), ("frequent", sentence))
    }
    configs.write_json(out / RESULTS, {"sentence": sentence, **scores})


def frequent(train: list[str], dev: list[str], language: str) -> str:
    """The most frequent normalized training text; among several, the best constant transcript of `dev`."""
    normalize = normalizer(language)
    count = Counter(normalize(t) for t in train)
    most = max(count.values())
    candidates = sorted(t for t, n in count.items() if n == most)
    candidates = candidates[:: -(-len(candidates) // MOST_CANDIDATES)]
    answers = [normalize(t) for t in dev]
    return min(candidates, key=lambda t: sum(word_edits(a, t).errors for a in answers if a))
