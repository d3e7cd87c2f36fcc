"""Correspondence learnt blind from a made-up inventory; boundaries to the frame; the real lab files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intona.data.correspondence import is_pause, learn_correspondence
from intona.data.labels import is_silence, read_lab
from intona.data.transfer import fit_frames, tidy, transfer_items

ASSETS = Path(__file__).parents[1] / "assets" / "festvox-ru-small"
FPS = 22050 / 256
PHONES = [f"{c}{m}" for c in "ptkbdgmnszlrf" for m in ("", "ʲ")] + ["ˈa", "a", "ˈo", "i", "ˈu"]


def made_up(n: int = 120, seed: int = 0, drop: float = 0.03, extra: float = 0.03):
    """Symbols, labels with times and the true boundaries; labels are X0, X1, .. in shuffled order."""
    rng = np.random.default_rng(seed)
    name = {p: f"X{i}" for p, i in zip(PHONES, rng.permutation(len(PHONES)), strict=True)}
    symbols, labels, truth = {}, {}, {}
    for u in range(n):
        ours, rows, edges, t = [], [(0.0, 0.05, "pau")], [], 0.05
        n_words = int(rng.integers(3, 9))
        for w in range(n_words):
            for p in rng.choice(PHONES, int(rng.integers(2, 7))):
                ours.append(str(p))
                if rng.random() < drop:
                    edges.append(None)
                    continue
                end = t + float(rng.uniform(0.04, 0.15))
                rows.append((t, end, name[str(p)]))
                edges.append((t, end))
                t = end
                if rng.random() < extra:
                    rows.append((t, t + 0.05, "X3"))
                    t += 0.05
            mark = "." if w == n_words - 1 else "," if rng.random() < 0.3 else None
            if mark:
                ours.append(mark)
                edges.append(None)
                if mark == "." or rng.random() < 0.8:
                    rows.append((t, t + 0.3, "pau"))
                    edges[-1] = (t, t + 0.3)
                    t += 0.3
            if w < n_words - 1:
                ours.append(" ")
                edges.append(None)
        symbols[str(u)], labels[str(u)], truth[str(u)] = tuple(ours), rows, edges
    return symbols, labels, truth, name


def test_learns_a_shuffled_inventory_and_places_boundaries():
    symbols, labels, truth, name = made_up()
    n_frames = {k: round(v[-1][1] * FPS) for k, v in labels.items()}
    durations, report = transfer_items(symbols, labels, n_frames, frames_per_second=FPS)
    assert report.utterances == 120 and not report.skipped
    assert report.matched > 0.95 and report.silences_matched == 1.0
    table = report.correspondence.table(1)
    right = [table[p][0][0] == name[p] for p in PHONES if p in table]
    assert np.mean(right) > 0.95
    errors, of = [], 0
    for k, d in durations.items():
        assert d.sum() == n_frames[k] and d.dtype == np.int64
        assert all(x >= 1 for x, s in zip(d, symbols[k], strict=True) if not is_pause(s))
        ends = np.cumsum(d)
        for i, edge in enumerate(truth[k]):
            if edge is not None:
                of += 1
                errors.append(abs(ends[i] / FPS - edge[1]))
    assert of > 2000
    assert np.median(errors) <= 0.5 / FPS and np.quantile(errors, 0.9) < 0.06


def test_pauses_take_silences_and_nothing_else():
    symbols, labels, _, _ = made_up(40, seed=1)
    c = learn_correspondence([(symbols[k], [x[2] for x in labels[k]]) for k in symbols])
    for k in symbols:
        theirs = [x[2] for x in labels[k]]
        matched = c.align([(symbols[k], theirs)])[0]
        assert all(is_pause(symbols[k][i]) == is_silence(theirs[j]) for i, j in matched)
        assert all(b[0] > a[0] and b[1] > a[1] for a, b in pairwise(matched))
        inner = {j for j, s in enumerate(theirs) if is_silence(s) and j}
        assert inner <= {j for _, j in matched}


def test_two_symbols_share_a_label_and_a_label_without_a_symbol_is_joined():
    base = {str(i): ("k", "a", " ", "t", "o", ".") for i in range(30)}
    rows = [(0.0, 0.1, "K"), (0.1, 0.2, "A"), (0.2, 0.3, "T"), (0.3, 0.4, "O"), (0.4, 0.5, "pau")]
    labels = {k: rows for k in base}
    base["two"] = ("k", "a", "a", " ", "t", "o", ".")
    labels["two"] = rows
    base["one"] = ("k", "a", " ", "o", ".")
    labels["one"] = rows
    durations, _ = transfer_items(base, labels, dict.fromkeys(base, 50), frames_per_second=100.0)
    assert durations["0"].tolist() == [10, 10, 0, 10, 10, 10]
    assert durations["two"].tolist() == [10, 5, 5, 0, 10, 10, 10]
    assert durations["one"].sum() == 50 and durations["one"][[0, 4]].tolist() == [10, 10]
    assert sorted(durations["one"][[1, 3]].tolist()) == [10, 20]  # T went to one of its neighbours, whole


@given(st.lists(st.tuples(st.floats(0, 4), st.integers(0, 1)), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_fit_frames_keeps_the_sum_and_the_least(parts):
    bounds = np.concatenate([[0.0], np.cumsum([p for p, _ in parts])])
    bounds[-1] = np.rint(bounds[-1])
    bounds = np.minimum(bounds, bounds[-1])
    least = np.array([m for _, m in parts])
    got = fit_frames(bounds, least)
    if bounds[-1] < least.sum():
        assert got is None
        return
    assert got is not None and got.sum() == bounds[-1] and (got >= least).all()
    plain = np.diff(np.rint(bounds))
    if (plain >= least).all():
        assert (got == plain).all()


def test_too_short_audio_is_skipped_and_named():
    symbols, labels, _, _ = made_up(20)
    n_frames = {k: round(v[-1][1] * FPS) for k, v in labels.items()}
    n_frames["7"] = 3
    symbols["none"] = ("a",)
    n_frames["none"] = 9
    durations, report = transfer_items(symbols, labels, n_frames, frames_per_second=FPS)
    assert set(report.skipped) == {"7", "none"} and "7" not in durations and report.utterances == 19


@pytest.mark.parametrize("silence", [None, "", "sil", "<sil>", "SP1", "spn", "_", "silence", "<p:>"])
def test_pauses_have_their_frames_whatever_silence_is_called(silence):
    """Or left out: the gap between two intervals is the same pause. No phone grows by it."""
    symbols, labels, _, _ = made_up(60, seed=3, drop=0.0, extra=0.0)
    n_frames = {k: round(v[-1][1] * FPS) for k, v in labels.items()}
    expected, report = transfer_items(symbols, labels, n_frames, frames_per_second=FPS)
    other = {
        k: tidy(
            [(a, b, silence if s == "pau" else s) for a, b, s in rows if s != "pau" or silence is not None]
        )
        for k, rows in labels.items()
    }
    durations, again = transfer_items(symbols, other, n_frames, frames_per_second=FPS)
    pauses = [np.array([is_pause(s) for s in symbols[k]]) for k in symbols]
    inside = [d[p][:-1].sum() for d, p in zip(expected.values(), pauses, strict=True)]
    assert sum(inside) > 1000
    assert [d[p][:-1].sum() for d, p in zip(durations.values(), pauses, strict=True)] == inside
    assert again.silences == report.silences > 50 and again.silences_matched == 1.0


def test_labels_that_no_phoneme_takes_are_counted():
    symbols, labels, _, _ = made_up(60, seed=4, drop=0.0, extra=0.0)
    of = 0
    for rows in labels.values():  # a noise between words, of which our symbols know nothing
        at = next((i for i, row in enumerate(rows) if i and row[2] == "pau"), None)
        if at is not None and at < len(rows) - 1:
            a, b, _ = rows[at]
            rows[at : at + 1] = [(a, (a + b) / 2, "<breath>"), ((a + b) / 2, b, "pau")]
            of += 1
    n_frames = {k: round(v[-1][1] * FPS) for k, v in labels.items()}
    _, report = transfer_items(symbols, labels, n_frames, frames_per_second=FPS)
    count, occurrences = report.unmatched["<breath>"]
    assert occurrences == of > 20 and count > 0.9 * of
    assert report.labels_matched < 1.0 and next(iter(report.unmatched)) == "<breath>"


def test_tidy_joins_silences_and_closes_gaps():
    rows = [(0, 0.1, "pau"), (0.1, 0.2, "#"), (0.2, 0.2, "a"), (0.2, 0.3, "b"), (0.35, 0.4, "c")]
    rows += [(0.401, 0.5, "d"), (0.6, 0.7, "<p:>"), (0.8, 0.9, "e")]
    assert tidy(rows) == [
        (0.0, 0.2, "pau"),
        (0.2, 0.3, "b"),
        (0.3, 0.35, ""),
        (0.35, 0.401, "c"),
        (0.401, 0.5, "d"),
        (0.5, 0.8, ""),
        (0.8, 0.9, "e"),
    ]


@pytest.mark.skipif(not ASSETS.is_dir(), reason="the small Festvox corpus is not here")
def test_real_lab_files_come_back_as_themselves():
    """The labels renamed are the symbols: every boundary must come back within half a frame."""
    labels, symbols, n_frames = {}, {}, {}
    for path in sorted((ASSETS / "lab").glob("*.lab")):
        rows = tidy(read_lab(path))[1:]  # from the first sound on
        labels[path.stem] = [(a - rows[0][0], b - rows[0][0], s) for a, b, s in rows]
        symbols[path.stem] = tuple("," if is_silence(s) else s.upper() for _, _, s in rows)
        n_frames[path.stem] = round(labels[path.stem][-1][1] * FPS)
    durations, report = transfer_items(symbols, labels, n_frames, frames_per_second=FPS)
    assert report.matched > 0.98
    good = [
        abs(e / FPS - row[1]) <= 0.51 / FPS
        for k, d in durations.items()
        for e, row in zip(np.cumsum(d), labels[k], strict=True)
    ]
    assert len(good) > 500 and np.mean(good) > 0.98


def test_no_labels_is_one_line(tmp_path):
    from intona.errors import UserError

    with pytest.raises(UserError, match="no utterance has both symbols and labels"):
        learn_correspondence([])
