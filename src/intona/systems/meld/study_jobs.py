"""Jobs that only the study of system meld has: speech and how it ends, listening, baselines."""

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
from intona.evaluation.manifest import Manifest
from intona.evaluation.normalize import normalizer
from intona.evaluation.wavs import index_folder, read_clip
from intona.evaluation.wer import character_edits, word_edits
from intona.jsonl import whole_rows
from intona.study.stages import MANIFEST, PROMPTS, RECORDINGS, RUN, WAVS, TimeIsUp, require_corpus, until
from intona.synth.batch import SetConfig, row_seed, synthesize_set
from intona.synth.capabilities import Capabilities
from intona.synth.options import SpeakOptions
from intona.synth.prompts import kept, languages_of, read_columns
from intona.synth.voice import PAUSE_SECONDS, BaseVoice
from intona.systems.meld import voice as speech_lm
from intona.systems.meld import whole
from intona.systems.meld.voice import MeldVoice

ENDINGS, HEARD, FOUND = "endings.jsonl", "heard.jsonl", "found.json"
MOST_CANDIDATES = 1000
AT_ONCE_SECONDS = 0.3  # speech shorter than this ended at once


class Witness(BaseVoice):
    """A `MeldVoice` that writes down how each row ended: `synthesize_set` takes it as a voice.

    Args:
        notes: gets a line for each row spoken. names: seed of `say` -> id of the row.
        penalty: of repetition, in place of the run's own.
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
    """The weights that a voice is judged by: those that did best on the dev set, in every arm alike."""
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
    """The test manifest spoken by the voice of job `voice`, into `out/wavs`, with `out/endings.jsonl`."""
    manifest = read_manifest(needs[test] / MANIFEST)
    names = {row_seed(seed, row.id): row.id for row in manifest.rows}
    witness = Witness(speech_lm.load(trained(needs[voice])), out / ENDINGS, names, penalty)
    try:
        spoken = synthesize_set(
            witness,
            manifest,
            out / WAVS,
            SetConfig(seed=seed),
            prompts=kept(needs[test] / PROMPTS) if prompts else None,
            languages=languages_of(read_columns(needs[test] / MANIFEST)),
            progress=until(limit_minutes),
        )
    except TimeIsUp:
        return False
    # That every row was cut is a result; that none could be tried is an error.
    if len(spoken.failures) == spoken.n and not by_id(out / ENDINGS):
        raise UserError(f"none of {spoken.n} sentences could be spoken: {spoken.failures[0].reason}")
    return True


def by_id(path: Path) -> dict[str, dict[str, Any]]:
    """Rows of a growing file by their id, the last of each."""
    return {row["id"]: row for row in whole_rows(path)}


def listen(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    voice: str,
    said: str,
    test: str,
    recordings: bool,
    language: str,
) -> bool:
    """What the model hears of held-out recordings (`recordings`) and of its own speech, greedily.

    `out/found.json`: "recordings" and "own", each id -> text heard and its edits.
    """
    manifest = read_manifest(needs[test] / MANIFEST)
    sources = {"own": index_folder(needs[said] / WAVS, manifest)[0]}
    if recordings:
        sources["recordings"] = index_folder(needs[test] / RECORDINGS, manifest)[0]
    model = speech_lm.load(trained(needs[voice]))
    tell, done = until(limit_minutes), 0
    total = len(manifest) * len(sources)
    kept_lines = out / HEARD
    heard = by_id(kept_lines)
    try:
        for kind, files in sources.items():
            for row in manifest.rows:
                tell(done, total, "")
                done += 1
                key = f"{kind}/{row.id}"
                if key in heard:
                    continue
                heard[key] = {"id": key, "text": _heard(model, files.get(row.id))}
                with open(kept_lines, "a", encoding="utf-8") as f:
                    f.write(json.dumps(heard[key], ensure_ascii=False) + "\n")
    except TimeIsUp:
        return False
    texts = {
        kind: {row.id: str(heard[f"{kind}/{row.id}"]["text"]) for row in manifest.rows} for kind in sources
    }
    configs.write_json(out / FOUND, {kind: scored(manifest, t, language) for kind, t in texts.items()})
    return True


def _heard(model: MeldVoice, path: Path | None) -> str:
    """The transcript; empty where there is nothing to hear."""
    clip = read_clip(path)
    if clip.audio is None:
        return ""
    try:
        return " ".join(w.text for w in model.transcribe(clip.audio) if w.text)
    except UserError:  # no level above silence
        return ""


def scored(manifest: Manifest, heard: Mapping[str, str], language: str) -> dict[str, dict[str, Any]]:
    """Id -> the text heard, word and character errors against the manifest's text, and their counts."""
    normalize = normalizer(language)
    out = {}
    for row in manifest.rows:
        said, got = normalize(row.text), normalize(heard[row.id])
        words, letters = word_edits(said, got), character_edits(said, got)
        out[row.id] = {
            "text": heard[row.id],
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
    """What one scores on the test without listening: nothing said, and always the same training sentence.

    That sentence is the most frequent of the training texts; among equally frequent ones the one with the
    fewest word errors as the answer to every dev text.
    """
    require_corpus(data, corpus)
    prepared, manifest = Prepared.open(data), read_manifest(needs[test] / MANIFEST)
    sentence = frequent(
        [i.text for i in prepared.items("train")], [i.text for i in prepared.items("dev")], language
    )
    found = {
        name: scored(manifest, {row.id: text for row in manifest.rows}, language)
        for name, text in (("nothing", ""), ("frequent", sentence))
    }
    configs.write_json(out / FOUND, {"sentence": sentence, **found})


def frequent(train: list[str], dev: list[str], language: str) -> str:
    """The most frequent normalized training text; of several the best constant answer to `dev`."""
    normalize = normalizer(language)
    count = Counter(normalize(t) for t in train)
    most = max(count.values())
    candidates = sorted(t for t, n in count.items() if n == most)
    candidates = candidates[:: -(-len(candidates) // MOST_CANDIDATES)]
    answers = [normalize(t) for t in dev]
    return min(candidates, key=lambda t: sum(word_edits(a, t).errors for a in answers if a))
