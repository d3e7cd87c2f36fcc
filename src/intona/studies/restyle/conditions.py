"""The test of the study, fixed before anything is trained: sentences, each in two opposite styles.

Sentences are those of the test split with 4 to 14 words: single words tell a recognizer little, and one long
sentence must not weigh as much as ten. A sentence with a sign such as "#" is none of them: nobody knows how
it is read. A style is that of a real recording of the train split. Of each speaker's recordings with enough
words and seconds the tenth that is lowest in pitch and the tenth that is highest are the two poles, ranked by
pitch alone, so that they differ in style and not in what they say; they are paired so that everything else is
as alike as can be. A sentence gets such a pair, of its own speaker. A row of the manifest is a sentence in a
style, and its `speaker` is the sentence, so that intervals resample sentences and never halves of them.
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
from intona.latents import vits
from intona.latents.vits import posterior as posteriors
from intona.latents.vits.posterior import latents_of
from intona.studies.engine.stages import COPY, MANIFEST, RECORDINGS, RUN, require_corpus
from intona.studies.restyle.arms import POSTERIOR
from intona.systems.restyle.measured import measured_of

Pole = Literal["low", "high"]
POLES: tuple[Pole, Pole] = ("low", "high")
TAIL, LEAST = 0.1, 4
CONDITIONS = "conditions.json"
WORDS = (4, 14)  # of a test sentence; the first also of a reference
_SIGN = re.compile(r"[^\w\s.,;:!?'’\"«»…()–—-]")
MIN_SECONDS = 1.5  # of a reference
ALIKE = ("range", "energy", "dynamics", "rate", "voiced")  # in which a pair of poles is matched


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a row asks for: `z` are the reference's attributes in deviations of the corpus (NAMES)."""

    sentence: str
    item: str
    pole: Pole
    reference: str
    z: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """`scale`: attribute -> mean and deviation over the train split; `rows` by id.

    `of`: sentences said, those with `WORDS` words, all of the test split.
    """

    scale: dict[str, tuple[float, float]]
    rows: dict[str, Wanted]
    of: tuple[int, int, int] = (0, 0, 0)

    def deviations(self, measured: Mapping[str, float]) -> np.ndarray:
        return deviations(measured, self.scale)


def read(folder: Path) -> Conditions:
    return configs.from_dict(
        Conditions, configs.read_json(folder / CONDITIONS, max_bytes=1 << 28), where=str(folder / CONDITIONS)
    )


def words_in(item: Item) -> int:
    return len(item.text.split())


def poles(
    items: Sequence[Item], measured: Mapping[str, Mapping[str, float]]
) -> dict[int, list[tuple[str, str]]]:
    """Speaker -> (low, high) pairs of ids of its recordings, the furthest apart first.

    Raises:
        UserError: no speaker has `LEAST` recordings that are long enough.
    """
    from scipy.optimize import linear_sum_assignment

    by_speaker: dict[int, list[Item]] = {}
    for item in items:
        if item.id in measured and item.seconds >= MIN_SECONDS and words_in(item) >= WORDS[0]:
            by_speaker.setdefault(item.speaker, []).append(item)
    out: dict[int, list[tuple[str, str]]] = {}
    columns, pitch = [NAMES.index(n) for n in ALIKE], NAMES.index("pitch")
    for speaker, own in by_speaker.items():
        if len(own) < LEAST:
            continue
        scale = corpus_scale([measured[i.id] for i in own])
        z = np.stack([deviations(measured[i.id], scale) for i in own])
        order = np.argsort(z[:, pitch], kind="stable")
        count = max(1, round(TAIL * len(own)))
        low, high = order[:count], order[::-1][:count]
        unlike = np.square(z[low][:, None, columns] - z[high][None][:, :, columns]).sum(-1)
        pairs = [(low[i], high[j]) for i, j in zip(*linear_sum_assignment(unlike), strict=True)]
        pairs.sort(key=lambda p: z[p[0], pitch] - z[p[1], pitch])
        out[speaker] = [(own[i].id, own[j].id) for i, j in pairs]
    if not out:
        raise UserError(
            f"no speaker has {LEAST} recordings of {WORDS[0]} words and {MIN_SECONDS:g} s",
            hint="take more data",
        )
    return out


def sentences_of(items: Sequence[Item], most: int) -> tuple[list[Item], int]:
    """At most `most` items (0: all) with `WORDS` words and no signs, at even steps, and how many there are.

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
) -> None:
    """Manifest, conditions, recordings, and decode(Z_audio) as their copy synthesis.

    `sentences`: see `sentences_of`.
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
    rows: dict[str, Wanted] = {}
    for number, item in enumerate(items):
        choices = ends.get(item.speaker, ends[most])
        for pole, reference in zip(POLES, choices[number % len(choices)], strict=True):
            z = tuple(float(v) for v in deviations(measured[reference], scale))
            rows[f"{item.name}.{pole}"] = Wanted(
                sentence=item.name, item=item.id, pole=pole, reference=reference, z=z
            )
    conditions = Conditions(scale=scale, rows=rows, of=(len(items), usable, len(everything)))
    fresh(out / RECORDINGS, {"corpus": corpus, "ids": list(rows)})
    space = vits.load(voice)
    net, speaker = own_posterior(space, needs), space.speaker(None)
    copies = out / COPY
    copies.mkdir(parents=True, exist_ok=True)
    for id, wanted in rows.items():
        source = prepared.audio_path(prepared[wanted.item])
        shutil.copyfile(source, out / RECORDINGS / f"{id}{source.suffix}")
        if (copies / f"{id}.wav").exists():
            continue
        twin = copies / f"{wanted.sentence}.low.wav"
        if twin.exists():  # a recording is the same for both styles
            shutil.copyfile(twin, copies / f"{id}.wav")
        else:
            z = latents_of(space, net, read_audio(source), speaker=speaker)
            put(copies / f"{id}.wav", space.sound(z, speaker=speaker).write)
    configs.write_json(out / CONDITIONS, configs.to_dict(conditions))
    write_manifest(
        out / MANIFEST,
        Manifest(
            rows=tuple(Row(id=id, text=prepared[w.item].text, speaker=w.sentence) for id, w in rows.items())
        ),
    )


def own_posterior(space: vits.VitsSpace, needs: Mapping[str, Path]) -> Any:
    """The posterior that the study has trained, or None where the voice has its own."""
    return None if space.facts.has_posterior else posteriors.load(needs[POSTERIOR] / RUN, space)
