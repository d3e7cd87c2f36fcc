"""The test set of the study, fixed before anything is trained: sentences, each in two opposite styles.

Sentences are those of the test split with 4 to 14 words, because single words say little about WER and one
long sentence must not weigh as much as ten short ones. Sentences with signs such as "#" are left out: their
reading is ambiguous. A style is that of a recording of the train split. Among the recordings of a speaker
with enough words and seconds, the tenth with the lowest pitch and the tenth with the highest are the two
poles. They are paired so that all other attributes are as similar as possible. Each sentence gets one pair,
of the same speaker. A row of the manifest is a sentence in one style; its `speaker` is the sentence, so that
intervals resample whole sentences.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from intona import config as configs
from intona.audio import read_audio
from intona.data.prepared import Item, Prepared
from intona.encoders.captions import corpus_scale, deviations
from intona.encoders.style import NAMES
from intona.errors import UserError
from intona.evaluation import Manifest, Row, write_manifest
from intona.evaluation.controls import fresh, put
from intona.studies.engine.stages import COPY, MANIFEST, RECORDINGS, RUN, require_corpus
from intona.studies.restyle.arms import POSTERIOR
from intona.systems.restyle import decoder as decoders
from intona.systems.restyle import vits
from intona.systems.restyle.measured import measured_of
from intona.systems.restyle.vits import posterior as posteriors
from intona.systems.restyle.vits.posterior import latents_of

Pole = Literal["low", "high"]
POLES: tuple[Pole, Pole] = ("low", "high")
TAIL, LEAST = 0.1, 4
CONDITIONS = "conditions.json"
WORDS = (4, 14)  # of a test sentence; the minimum holds for references too
_SIGN = re.compile(r"[^\w\s.,;:!?'’\"«»…()–—-]")
MIN_SECONDS = 1.5  # of a reference
ALIKE = ("range", "energy", "dynamics", "rate", "voiced")  # attributes that the two poles of a pair share


@dataclass(frozen=True, kw_only=True)
class RowStyle:
    """The style that a row requests. `z`: attributes (NAMES) of the reference in deviations of the corpus."""

    sentence: str
    item: str
    pole: Pole
    reference: str
    z: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The styles of the test set.

    Args:
        scale: attribute -> mean and standard deviation over the train split. rows: by id.
        of: number of sentences in the test set, of those with `WORDS` words, of all in the test split.
    """

    scale: dict[str, tuple[float, float]]
    rows: dict[str, RowStyle]
    of: tuple[int, int, int] = (0, 0, 0)

    def deviations(self, measured: Mapping[str, float]) -> np.ndarray:
        return deviations(measured, self.scale)


def read_conditions(folder: Path) -> Conditions:
    return configs.from_dict(
        Conditions, configs.read_json(folder / CONDITIONS, max_bytes=1 << 28), where=str(folder / CONDITIONS)
    )


def words_in(item: Item) -> int:
    return len(item.text.split())


def poles(
    items: Sequence[Item], measured: Mapping[str, Mapping[str, float]]
) -> dict[int, list[tuple[str, str]]]:
    """Speaker -> (low, high) pairs of ids of recordings, the farthest apart first.

    Raises:
        UserError: no speaker has `LEAST` recordings of sufficient length.
    """
    from scipy.optimize import linear_sum_assignment

    by_speaker: dict[int, list[Item]] = {}
    for item in items:
        if item.id in measured and item.seconds >= MIN_SECONDS and words_in(item) >= WORDS[0]:
            by_speaker.setdefault(item.speaker, []).append(item)
    out: dict[int, list[tuple[str, str]]] = {}
    columns, pitch = [NAMES.index(n) for n in ALIKE], NAMES.index("pitch")
    for speaker, recordings in by_speaker.items():
        if len(recordings) < LEAST:
            continue
        scale = corpus_scale([measured[i.id] for i in recordings])
        z = np.stack([deviations(measured[i.id], scale) for i in recordings])
        order = np.argsort(z[:, pitch], kind="stable")
        count = max(1, round(TAIL * len(recordings)))
        low, high = order[:count], order[::-1][:count]
        unlike = np.square(z[low][:, None, columns] - z[high][None][:, :, columns]).sum(-1)
        pairs = [(low[i], high[j]) for i, j in zip(*linear_sum_assignment(unlike), strict=True)]
        pairs.sort(key=lambda p: z[p[0], pitch] - z[p[1], pitch])
        out[speaker] = [(recordings[i].id, recordings[j].id) for i, j in pairs]
    if not out:
        raise UserError(
            f"no speaker has {LEAST} recordings of {WORDS[0]} words and {MIN_SECONDS:g} s",
            hint="use more data",
        )
    return out


def sentences_of(items: Sequence[Item], most: int) -> tuple[list[Item], int]:
    """At most `most` items (0 = all) with `WORDS` words and no signs, evenly spaced; and how many have both.

    Raises:
        UserError: there is none.
    """
    usable = [i for i in items if WORDS[0] <= words_in(i) <= WORDS[1] and not _SIGN.search(i.text)]
    if not usable:
        raise UserError(
            f"none of {len(items)} test sentences has {WORDS[0]} to {WORDS[1]} words",
            hint="prepare the corpus with a larger --test",
        )
    if 0 < most < len(usable):
        return [usable[i * len(usable) // most] for i in range(most)], len(usable)
    return usable, len(usable)


def declare_test(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    voice: str,
    sentences: int,
    decoder: str = "",
) -> None:
    """Write manifest, conditions, recordings, and decode(Z_audio) as their copy synthesis.

    Args:
        sentences: at most so many, 0 = all (see `sentences_of`).
        decoder: job of a tuned decoder, in place of the decoder of the voice.
    """
    require_corpus(data, corpus)
    prepared = Prepared.open(data)
    everything = prepared.items("test")
    items, usable = sentences_of(everything, sentences)
    measured = measured_of(prepared)
    train = prepared.items("train")
    ends = poles(train, measured)
    most = max(ends, key=lambda s: len(ends[s]))
    scale = corpus_scale([measured[i.id] for i in train if i.id in measured])
    rows: dict[str, RowStyle] = {}
    for number, item in enumerate(items):
        choices = ends.get(item.speaker, ends[most])
        for pole, reference in zip(POLES, choices[number % len(choices)], strict=True):
            z = tuple(float(v) for v in deviations(measured[reference], scale))
            rows[f"{item.name}.{pole}"] = RowStyle(
                sentence=item.name, item=item.id, pole=pole, reference=reference, z=z
            )
    conditions = Conditions(scale=scale, rows=rows, of=(len(items), usable, len(everything)))
    fresh(out / RECORDINGS, {"corpus": corpus, "ids": list(rows)})
    space = vits.load(voice)
    net, speaker = trained_posterior(space, needs), space.speaker(None)
    tuned = tuned_decoder(space, needs, decoder)
    copies = out / COPY
    copies.mkdir(parents=True, exist_ok=True)
    for id, row in rows.items():
        source = prepared.audio_path(prepared[row.item])
        shutil.copyfile(source, out / RECORDINGS / f"{id}{source.suffix}")
        if (copies / f"{id}.wav").exists():
            continue
        twin = copies / f"{row.sentence}.low.wav"
        if twin.exists():  # a recording is the same for both styles
            shutil.copyfile(twin, copies / f"{id}.wav")
        else:
            z = latents_of(space, net, read_audio(source), speaker=speaker)
            put(copies / f"{id}.wav", space.sound(z, speaker=speaker, decoder=tuned).write)
    configs.write_json(out / CONDITIONS, configs.to_dict(conditions))
    write_manifest(
        out / MANIFEST,
        Manifest(
            rows=tuple(Row(id=id, text=prepared[w.item].text, speaker=w.sentence) for id, w in rows.items())
        ),
    )


def trained_posterior(space: vits.VitsSpace, needs: Mapping[str, Path]) -> Any:
    """The posterior that the study trained; None if the voice has one."""
    return None if space.facts.has_posterior else posteriors.load(needs[POSTERIOR] / RUN, space)


def tuned_decoder(space: vits.VitsSpace, needs: Mapping[str, Path], job: str) -> Any:
    """The decoder that job `job` tuned; None, the decoder of the voice, if there is no such job."""
    return decoders.load(needs[job] / RUN, space) if job else None
