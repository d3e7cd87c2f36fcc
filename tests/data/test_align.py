"""The aligner on a made-up language whose boundaries are known, in a prepared directory of its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from intona.audio import MelSpec
from intona.cluster import LocalEngine
from intona.config import save, write_json
from intona.data.align import AlignerConfig, _Aligner, _script, align
from intona.data.boundaries import boundary_errors, judge_of, word_edges
from intona.data.correspondence import is_pause
from intona.data.prepared import Prepared, seal, write_jsonl
from intona.data.transfer import transfer
from intona.errors import UserError
from intona.nn.align import monotonic_search
from intona.nn.masks import length_mask
from intona.text import PhonemeTokenizer

pytestmark = pytest.mark.trains

FPS = 22050 / 256
PHONES = ["k", "ˈa", "sʲ", "m", "ˈo", "t", "n", "ʂ", "ˈi", "r"]


def made_up_corpus(root: Path, *, n: int = 48, speakers: int = 2, labels: bool = True, seed: int = 0):
    """A prepared directory: a spectrum a phone plus noise, speakers shifted. Returns the true durations."""
    rng = np.random.default_rng(seed)
    spectrum = {p: rng.normal(-5, 2, 80) for p in PHONES}
    shift = rng.normal(0, 2, (speakers, 80))
    rows, mels, named, truth, offset = [], [], [], {}, 0
    for u in range(n):
        ours, frames, words = [], [], []
        n_words = int(rng.integers(2, 6))
        for w in range(n_words):
            start = len(ours)
            for p in rng.choice(PHONES, int(rng.integers(2, 6))):
                ours.append(str(p))
                frames.append(int(rng.integers(4, 14)))
            words.append([f"w{w}", start, len(ours)])
            if w < n_words - 1 and rng.random() < 0.4:
                ours.append(",")
                frames.append(int(rng.integers(12, 25)) if rng.random() < 0.7 else 0)
            ours.append(" ")
            frames.append(0)
        ours[-1], frames[-1] = ".", 8
        mel = np.concatenate(
            [
                np.tile(spectrum.get(s, np.full(80, -11.0)) + shift[u % speakers], (d, 1))
                for s, d in zip(ours, frames, strict=True)
            ]
        )
        mel = (mel + rng.normal(0, 1, mel.shape)).astype(np.float16)
        ends = np.cumsum(frames)
        sound = [(s, e, d) for s, e, d in zip(ours, ends, frames, strict=True) if d]
        name = [[(e - d) / FPS, e / FPS, "pau" if is_pause(s) else s.upper()] for s, e, d in sound]
        key = f"u{u:03d}"
        rows.append(
            {
                "id": key,
                "text": key,
                "normalized": key,
                "phonemes": ours,
                "words": words,
                "speaker": u % speakers,
                "language": "xx",
                "n_frames": len(mel),
                "offset": offset,
                "seconds": len(mel) / FPS,
                "file": f"{key}.flac",
            }
        )
        named.append({"id": key, "labels": name})
        truth[key] = np.array(frames)
        mels.append(mel)
        offset += len(mel)
    root.mkdir(parents=True)
    np.concatenate(mels).tofile(root / "mels.bin")
    write_jsonl(root / "manifest.jsonl", rows)
    if labels:
        write_jsonl(root / "labels.jsonl", named)
    save(MelSpec(), root / "features.json")
    PhonemeTokenizer.build(r["phonemes"] for r in rows).save(root / "tokenizer.json")
    write_json(root / "splits.json", {"train": [r["id"] for r in rows], "dev": [], "test": []})
    write_json(root / "stats.json", {})
    seal(root, frames=offset, speakers=[f"s{i}" for i in range(speakers)], languages=["xx"])
    return truth


@pytest.fixture(scope="module")
def aligned(tmp_path_factory):
    root = tmp_path_factory.mktemp("align") / "xx"
    truth = made_up_corpus(root)
    config = AlignerConfig(channels=32, layers=2, max_frames=1500, learning_rate=1e-2)
    return root, truth, align(root, steps=100, seed=3, config=config), config


def test_finds_the_boundaries_of_two_speakers(aligned):
    root, truth, report, _ = aligned
    assert report.utterances == 48 and not report.skipped and report.boundaries.n > 200
    assert report.boundaries.median_ms <= 12 and report.boundaries.p90_ms <= 40
    prepared = Prepared.open(root)
    errors = []
    for item in prepared:
        found = prepared.durations(item)
        assert found.sum() == item.n_frames
        assert all(d >= 1 for d, s in zip(found, item.phonemes, strict=True) if not is_pause(s))
        errors += list(abs(np.cumsum(found) - np.cumsum(truth[item.id]))[:-1])
    assert np.median(errors) <= 1 and np.quantile(errors, 0.9) <= 3
    assert prepared.durations_source.startswith("align: conv 32x2") and "seed 3" in prepared.durations_source
    assert "word edges against the labels: median" in report.table() and report.table().count("\n") == 1


def test_pauses_that_were_not_made_get_nothing(aligned):
    root, truth, _, _ = aligned
    prepared = Prepared.open(root)
    made, right = 0, []
    for item in prepared:
        found = prepared.durations(item)
        for s, d, t in zip(item.phonemes, found, truth[item.id], strict=True):
            if s == " ":
                made += int(d > 0)
            if s == ",":
                right.append((d > 2) == (t > 2))
    assert made == 0 and len(right) > 30 and np.mean(right) > 0.9


def test_same_seed_same_durations_and_no_trace_on_the_global_seed(aligned):
    root, _, _, config = aligned
    state = torch.random.get_rng_state()
    align(root, steps=8, seed=5, config=config)
    one = (root / "durations.jsonl").read_bytes()
    align(root, steps=8, seed=5, config=config)
    assert (root / "durations.jsonl").read_bytes() == one
    assert torch.equal(torch.random.get_rng_state(), state)


def test_transfer_writes_the_truth_within_a_frame(tmp_path):
    truth = made_up_corpus(tmp_path / "xx", n=30)
    report = transfer(tmp_path / "xx")
    assert report.matched == 1.0 and report.silences_matched == 1.0 and report.utterances == 30
    prepared = Prepared.open(tmp_path / "xx")
    for item in prepared:
        assert np.array_equal(prepared.durations(item), truth[item.id])
    assert prepared.durations_source == "labels"


def test_without_labels(tmp_path):
    made_up_corpus(tmp_path / "xx", n=4, labels=False)
    assert judge_of(Prepared.open(tmp_path / "xx")) is None
    report = align(tmp_path / "xx", steps=2, config=AlignerConfig(channels=8, layers=1))
    assert report.boundaries is None and report.utterances == 4
    with pytest.raises(UserError, match=r"has no phone labels.*intona align"):
        transfer(tmp_path / "xx")


def test_boundary_errors_closed_form(tmp_path):
    truth = made_up_corpus(tmp_path / "xx", n=10)
    prepared = Prepared.open(tmp_path / "xx")
    labels = {i.id: list(prepared.labels(i)) for i in prepared}
    edges = word_edges({i.id: i for i in prepared}, labels)
    # Every inner edge of every word is judged, and the truth is exact.
    assert sum(map(len, edges.values())) == sum(
        len({w.start for w in i.words[1:]} | {w.end for w in i.words[:-1]}) for i in prepared
    )
    assert boundary_errors(truth, edges, frames_per_second=FPS).p90_ms < 1e-6
    moved = {k: np.concatenate([[d[0] + 2], d[1:]]) for k, d in truth.items()}
    late = boundary_errors(moved, edges, frames_per_second=FPS)
    assert late.median_ms == pytest.approx(2000 / FPS) and late.within_20_ms == 0.0
    with pytest.raises(UserError, match="no word edge to compare"):
        boundary_errors({}, edges, frames_per_second=FPS)


def test_the_search_divides_by_the_mean_posterior_of_the_corpus(tmp_path):
    """Whatever prior training left behind: that of its last batch, or of the paths before."""
    made_up_corpus(tmp_path / "xx", n=6)
    config = AlignerConfig(channels=8, layers=1, max_frames=200)
    aligner = _Aligner(Prepared.open(tmp_path / "xx"), config, seed=0)
    with torch.no_grad():
        aligner.net.out.weight.mul_(5)  # a net with preferences
        posteriors = []
        for item in aligner.items:
            x, lengths, *_ = aligner.batch([item])
            posteriors.append(aligner.net(x, length_mask(lengths, x.shape[1]))[0].double().exp())
    mean = torch.cat(posteriors).mean(0)
    aligner.log_prior = torch.randn_like(aligner.log_prior)
    paths = aligner.search()
    torch.testing.assert_close(aligner.log_prior, mean.log().float(), rtol=1e-4, atol=1e-4)
    for item, p in zip(aligner.items, posteriors, strict=True):
        _, lengths, classes, tokens, optional, enter = aligner.batch([item])
        score = (p / mean).log().float()[:, classes[0]].T[None]
        alone = monotonic_search(score, tokens, lengths, optional, enter)[0].numpy()

        def value(path: np.ndarray, score=score[0], enter=enter[0]) -> float:
            place = np.repeat(np.arange(len(path)), path)
            return float(score[place, np.arange(len(place))].sum() + enter[path > 0].sum())

        assert paths[item.id].sum() == item.n_frames
        assert value(paths[item.id]) == pytest.approx(value(alone), abs=1e-2)


@pytest.mark.slow
def test_the_search_does_not_depend_on_the_number_of_processes(tmp_path):
    made_up_corpus(tmp_path / "xx", n=6)
    config = AlignerConfig(channels=8, layers=1, max_frames=200)
    aligner = _Aligner(Prepared.open(tmp_path / "xx"), config, seed=0)
    alone = aligner.search()
    prior = aligner.log_prior
    spread = aligner.search(LocalEngine(2))
    assert spread.keys() == alone.keys() and all((spread[i] == alone[i]).all() for i in alone)
    torch.testing.assert_close(aligner.log_prior, prior)


def test_runs_of_pauses_are_one_token_and_the_ends_may_be_silent():
    c = AlignerConfig()
    s = _script(["a", ",", "—", " ", "b", " ", "a"], {"a": 1, "b": 2}, c)
    assert s.classes.tolist() == [0, 1, 0, 2, 0, 1, 0] and s.optional.tolist() == [True, False] * 3 + [True]
    assert s.place.tolist() == [0, 0, 1, 4, 5, 6, 6]
    assert s.enter.tolist() == [
        -c.punctuation_cost,
        0,
        -c.punctuation_cost,
        0,
        -c.boundary_cost,
        0,
        -c.punctuation_cost,
    ]
    assert _script([" ", ",", "a", "."], {"a": 1}, c).place.tolist() == [1, 2, 3]


def test_an_utterance_too_short_for_its_symbols_is_named(tmp_path):
    made_up_corpus(tmp_path / "xx", n=4)
    import json

    rows = [json.loads(x) for x in (tmp_path / "xx/manifest.jsonl").read_text("utf-8").splitlines()]
    rows[0]["phonemes"] = ["k", "ˈa"] * rows[0]["n_frames"]
    write_jsonl(tmp_path / "xx/manifest.jsonl", rows)
    seal(tmp_path / "xx", frames=sum(r["n_frames"] for r in rows), speakers=["s0", "s1"], languages=["xx"])
    report = align(tmp_path / "xx", steps=2, config=AlignerConfig(channels=8, layers=1))
    assert report.skipped == ("u000",) and report.utterances == 3
    assert "skipped 1, too short for their symbols: u000" in report.table()


def test_little_time_means_fewer_steps_not_half_a_schedule(tmp_path, monkeypatch):
    """On a clock by which every step takes the same time."""
    clock, rates, step = 0.0, [], _Aligner.step

    def timed_step(self, loss, rate):
        nonlocal clock
        clock += 1.0
        rates.append(rate)
        step(self, loss, rate)

    monkeypatch.setattr(_Aligner, "step", timed_step)
    monkeypatch.setattr("intona.data.align.time", SimpleNamespace(monotonic=lambda: clock))
    made_up_corpus(tmp_path / "xx", n=12)
    config = AlignerConfig(channels=16, layers=1, max_frames=1500)
    report = align(tmp_path / "xx", steps=100_000, minutes=1.0, config=config)
    # .58 of the minute, 34 steps, for the forward sum, whose rate falls to its end; the rest for the refit.
    assert rates[33] < 0.2 * max(rates[:33])
    assert report.steps == len(rates) == pytest.approx(60, abs=2) and report.seconds == len(rates)
    assert f"{report.steps} steps" in report.source
