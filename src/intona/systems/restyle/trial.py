"""The test of the study, fixed before anything is trained: sentences, each in two opposite styles.

A style is that of a real recording of the train split. Of each speaker the tenth with the lowest and the
tenth with the highest pitch, level and rate together (in deviations of that speaker) are the two poles; a
sentence gets one recording of each, of its own speaker. A row of the manifest is a sentence in a style, and
its `speaker` is the sentence, so that intervals resample sentences and never halves of them.
"""

from __future__ import annotations

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
from intona.study.stages import COPY, MANIFEST, RECORDINGS, RUN, require_corpus
from intona.systems.restyle.measured import measured_of
from intona.systems.restyle.study import POSTERIOR
from intona.systems.restyle.verdict import STEERED

Pole = Literal["low", "high"]
POLES: tuple[Pole, Pole] = ("low", "high")
TAIL, LEAST = 0.1, 4
CONDITIONS = "conditions.json"
MIN_SECONDS = 1.0  # a shorter reference has no rate to speak of


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
    """`scale`: attribute -> mean and deviation over the train split; `rows` by id."""

    scale: dict[str, tuple[float, float]]
    rows: dict[str, Wanted]

    def deviations(self, measured: Mapping[str, float]) -> np.ndarray:
        return deviations(measured, self.scale)


def read(folder: Path) -> Conditions:
    return configs.from_dict(
        Conditions, configs.read_json(folder / CONDITIONS, max_bytes=1 << 28), where=str(folder / CONDITIONS)
    )


def poles(
    items: Sequence[Item], measured: Mapping[str, Mapping[str, float]]
) -> dict[int, dict[Pole, list[str]]]:
    """Speaker -> ids of its recordings at either end, the most extreme first; speakers of `LEAST` or more.

    Raises:
        UserError: no speaker has that many recordings of a second or more.
    """
    by_speaker: dict[int, list[Item]] = {}
    for item in items:
        if item.id in measured and item.seconds >= MIN_SECONDS:
            by_speaker.setdefault(item.speaker, []).append(item)
    out: dict[int, dict[Pole, list[str]]] = {}
    columns = [NAMES.index(n) for n in STEERED]
    for speaker, own in by_speaker.items():
        if len(own) < LEAST:
            continue
        scale = corpus_scale([measured[i.id] for i in own])
        extreme = [float(deviations(measured[i.id], scale)[columns].mean()) for i in own]
        order = np.argsort(extreme, kind="stable")
        count = max(1, round(TAIL * len(own)))
        out[speaker] = {
            "low": [own[i].id for i in order[:count]],
            "high": [own[i].id for i in order[::-1][:count]],
        }
    if not out:
        raise UserError(
            f"no speaker has {LEAST} recordings of {MIN_SECONDS:g} s to take styles from",
            mend="take more data",
        )
    return out


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

    `sentences`: at most so many of the test split, at even steps; 0 takes all.
    """
    require_corpus(data, corpus)
    prepared = Prepared.open(data)
    items = prepared.items("test")
    if not items:
        raise UserError('no sentence in the split "test"', where=data)
    if 0 < sentences < len(items):
        items = [items[i * len(items) // sentences] for i in range(sentences)]
    measured = measured_of(prepared)
    train = prepared.items("train")
    ends = poles(train, measured)
    most = max(ends, key=lambda s: len(ends[s]["low"]))
    scale = corpus_scale([measured[i.id] for i in train if i.id in measured])
    rows: dict[str, Wanted] = {}
    for number, item in enumerate(items):
        for pole in POLES:
            choices = ends.get(item.speaker, ends[most])[pole]
            reference = choices[number % len(choices)]
            z = tuple(float(v) for v in deviations(measured[reference], scale))
            rows[f"{item.name}.{pole}"] = Wanted(
                sentence=item.name, item=item.id, pole=pole, reference=reference, z=z
            )
    conditions = Conditions(scale=scale, rows=rows)
    fresh(out / RECORDINGS, {"corpus": corpus, "ids": list(rows)})
    space = vits.load(voice)
    net, speaker = own_posterior(space, needs), space.speaker(None)
    copies = out / COPY
    copies.mkdir(parents=True, exist_ok=True)
    for id, wanted in rows.items():
        source = prepared.audio_path(prepared[wanted.item])
        shutil.copyfile(source, out / RECORDINGS / f"{id}{source.suffix}")
        if not (copies / f"{id}.wav").exists():
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
