"""What stage 1 knows of text: perplexity of single masked symbols, beside a unigram and a 5-gram.

One symbol of a text is masked at a time and predicted from all others (Salazar et al. 2020), so that the
5-gram can have the same information: it fills the hole by the probability of the whole text. Phonemes are
those of words, without spaces and punctuation. The counts are of the texts that the run was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intona import checkpoint
from intona import config as configs
from intona.data.pieces import Text, padded, text_of
from intona.data.prepared import Prepared
from intona.encoders import pretrained
from intona.encoders.mlm import MaskedModel
from intona.errors import UserError
from intona.evaluation.ngram import NGram
from intona.evaluation.stats import ratio_interval
from intona.studies.engine.stages import RESULTS, RUN, require_corpus
from intona.systems.encoder.pretrain import read_texts, text_paths, texts_of

AT_ONCE = 64
STREAMS = ("phonemes", "pieces")


def measure(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    run: str,
    texts: str,
    most: int,
) -> None:
    """`perplexity` of the run of job `run` on the test split."""
    require_corpus(data, corpus)
    configs.write_json(out / RESULTS, perplexity(needs[run] / RUN, Path(data), texts=texts, most=most))


def perplexity(
    run: Path, data: Path, *, texts: str = "", held: str = "", most: int = 60, order: int = 5
) -> dict[str, Any]:
    """Stream -> "model", "unigram", "ngram" -> perplexity with its interval over texts; and N.

    Args:
        texts: --texts of the run, to count in. held: a file of texts to score; "" = the test split.
        most: texts that are scored.

    Raises:
        UserError: `run` is not a run of prosody.mlm.
    """
    path = checkpoint.resolve(run)
    if configs.read_json(path / "config.json").get("stage") != "prosody.mlm":
        raise UserError("not a run of prosody.mlm", where=path)
    prepared, sizes = Prepared.open(data), pretrained.config(path)
    tokenizer, bpe = pretrained.phonemes(path), pretrained.pieces(path)

    def read(name: str) -> list[Text]:
        utterances, _ = read_texts(text_paths(name), prepared, "")
        return [text_of(u, tokenizer.encode(u.phonemes).ids, bpe) for u in utterances]

    train = [*texts_of(prepared, prepared.items("train"), tokenizer, bpe).values(), *read(texts)]
    test = read(held) if held else list(texts_of(prepared, prepared.items("test"), tokenizer, bpe).values())
    if not train or not test:
        raise UserError("no text to score or to count in", where=data)
    test = [test[i * len(test) // min(most, len(test))] for i in range(min(most, len(test)))]
    model = MaskedModel(sizes)
    _, state = checkpoint.weights_of(path)
    checkpoint.load_weights(model, {k.removeprefix("model."): v for k, v in state.items()}, where=path)
    model.eval()
    out: dict[str, Any] = {}
    for stream, vocabulary in zip(STREAMS, (sizes.n_tokens, sizes.n_pieces), strict=True):
        counted = [_ids(t, stream) for t in train]
        frequencies = np.bincount(np.concatenate(counted), minlength=vocabulary) + 1.0
        frequencies /= frequencies.sum()
        ngram = NGram(counted, vocabulary, order=order)
        losses: dict[str, list[float]] = {"model": [], "unigram": [], "ngram": []}
        numbers: list[float] = []
        for text in test:
            ids = _ids(text, stream)
            of_words = [i for a, b in text.spans for i in range(a, b)]
            places = of_words if stream == "phonemes" else list(range(len(ids)))
            if not places:
                continue
            numbers.append(len(places))
            losses["model"].append(_masked_loss(model, ids, places, stream, vocabulary))
            losses["unigram"].append(float(-np.log(frequencies[[ids[i] for i in places]]).sum()))
            losses["ngram"].append(float(-sum(np.log(ngram.between(ids, i)[ids[i]]) for i in places)))
        out[stream] = {name: _exp(sums, numbers) for name, sums in losses.items()}
        out[stream] |= {"texts": len(numbers), "symbols": int(sum(numbers)), "vocabulary": vocabulary}
    return out


def _ids(text: Text, stream: str) -> Sequence[int]:
    return text.tokens if stream == "phonemes" else text.pieces


@torch.inference_mode()
def _masked_loss(
    model: MaskedModel, ids: Sequence[int], places: Sequence[int], stream: str, vocabulary: int
) -> float:
    """Nats of the symbols at the places, each masked by itself; the mask symbol has the id `vocabulary`."""
    total = 0.0
    for start in range(0, len(places), AT_ONCE):
        some = places[start : start + AT_ONCE]
        rows = [[vocabulary if i == place else s for i, s in enumerate(ids)] for place in some]
        chosen = torch.zeros(len(some), len(ids), dtype=torch.bool)
        chosen[torch.arange(len(some)), torch.tensor(some)] = True
        lengths = torch.full((len(some),), len(ids))
        target = torch.tensor([list(ids)] * len(some))
        total += float(model.parts(padded(rows), lengths, target, chosen, stream)[stream].total)
    return total


def _exp(sums: list[float], numbers: list[float]) -> dict[str, Any]:
    nats = ratio_interval(sums, numbers)
    low, high = (None if e is None else float(np.exp(e)) for e in (nats.low, nats.high))
    return {"perplexity": float(np.exp(nats.estimate)), "low": low, "high": high}
