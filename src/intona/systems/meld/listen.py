"""Listening: the text after `frames <STT>`, by greedy or beam search over a key-value cache."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from intona.errors import UserError
from intona.nn.causal import single_rows
from intona.nn.random import ItemRandom
from intona.systems.meld.ctc import PrefixScorer
from intona.systems.meld.model import SpeechLM
from intona.systems.meld.parts import uniforms

CTC_SHARE = 0.5  # of a score; of .5, .6 and .7 the best WER on dev (docs/notebook/meld.md)


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """Pieces of a transcript, their mean log probability per piece (nats), and whether <EOS> was reached."""

    pieces: list[int]
    score: float
    ended: bool


@torch.inference_mode()
def listen(
    model: SpeechLM,
    mel: Tensor,
    *,
    max_pieces: int,
    beam: int = 1,
    random: ItemRandom | None = None,
    cached: bool = True,
    ctc: float = CTC_SHARE,
) -> Hypothesis:
    """The best text of (T, n_mels) natural-log mels.

    Args:
        max_pieces: the longest text, without its <EOS>; one that does not end there is cut.
        beam: 1 = greedy. Scores are divided by the number of pieces, or short texts would always win.
        random: dropout of the prenet, if it is to stay on. When speaking it hides the model's own errors;
            what is transcribed has none, and half of it would be lost.
        ctc: share of the score that is CTC's, in a model that was trained with it: beginnings that the sound
            does not spell in this order are dropped, however likely the text is.

    Raises:
        UserError: a recording longer than the model's context, or shorter than one step.
    """
    c, vocabulary = model.config, model.vocabulary
    x = model.normalized(mel[None])
    n = x.shape[1]
    if n == 0:
        raise UserError("too short to hear anything")
    if n + 1 + max_pieces > c.context:
        raise UserError(
            f"{n} steps of sound and {max_pieces} pieces of text exceed the model's context of {c.context}",
            hint="cut the recording into shorter parts",
        )
    noise = None if random is None else uniforms(random, [n], model.prenet.noise_dim + 1)[..., 1:]
    device = x.device
    base = torch.cat([model.embed_steps(x, noise), model.embed_task(1, speak=False)], dim=1)
    lengths = torch.tensor([n], device=device)
    beams = torch.zeros(1, 0, dtype=torch.long, device=device)  # (beams, pieces so far)
    top = scores = torch.zeros(1, device=device)  # of text and CTC together, and of the text alone
    cache = model.trunk.new_cache(n + 1 + max_pieces) if cached else None
    finished: list[Hypothesis] = []
    scorer = spelt = None
    for length in range(max_pieces + 1):
        positions = model.listening_positions(lengths.expand(len(beams)), n, beams)
        if cache is None:
            whole = torch.cat([base.expand(len(beams), -1, -1), model.embedding(beams)], dim=1)
            states = model.trunk(whole, positions)
        else:
            fresh = base if length == 0 else model.embedding(beams[:, -1:])
            with single_rows() if fresh.shape[1] == 1 else nullcontext():
                states = model.trunk(fresh, positions[:, -fresh.shape[1] :], cache)
        log_p = torch.log_softmax(model.head(states[:, -1]).float(), dim=-1)
        ending = scores + log_p[:, vocabulary.eos]
        grown = scores[:, None] + log_p[:, : c.n_text]
        following = grown
        if model.ctc is not None and ctc:
            if scorer is None or spelt is None:
                scorer = PrefixScorer(torch.log_softmax(model.ctc(states[0, :n]).float(), dim=-1))
                spelt = scorer.start()
            ending = (1 - ctc) * ending + ctc * spelt.whole
            following = (1 - ctc) * grown + ctc * scorer.grown(spelt)
        # What may grow: the best pieces of all beams. What may end: beams whose <EOS> is among their best.
        rank = (following > ending[:, None]).sum(1)
        ending = ending / (length + 1)
        for i in torch.nonzero(rank < beam)[:, 0].tolist():
            finished.append(Hypothesis(pieces=beams[i].tolist(), score=float(ending[i]), ended=True))
        if length == max_pieces:
            break
        top, index = following.flatten().topk(min(beam, following.numel()))
        best = max((h.score for h in finished), default=-torch.inf)
        if finished and (beam == 1 or (len(finished) >= beam and float(top[0]) / (length + 1) < best)):
            break
        rows, pieces = index // c.n_text, index % c.n_text
        if scorer is not None and spelt is not None:
            spelt = scorer.grow(spelt.select(rows), pieces)
        beams, scores = torch.cat([beams[rows], pieces[:, None]], dim=1), grown[rows, pieces]
        if cache is not None:
            cache = cache.select(rows)
    if finished:
        return max(finished, key=lambda h: h.score)
    return Hypothesis(pieces=beams[0].tolist(), score=float(top[0]) / max(1, beams.shape[1]), ended=False)


@torch.inference_mode()
def surprise(model: SpeechLM, mel: Tensor, pieces: list[int], *, ctc: float = CTC_SHARE) -> float:
    """How little a sound says a text: nats a piece, <EOS> among them. `listen` finds the text of the least.

    Args:
        mel: (T, n_mels) natural log. ctc: as in `listen`.

    Returns:
        inf where the sound is too short to spell the text, or both exceed the model's context.
    """
    x = model.normalized(mel[None])
    n = x.shape[1]
    if not n or n + 1 + len(pieces) > model.config.context:
        return float("inf")
    text = torch.tensor([pieces], dtype=torch.long, device=x.device)
    stream = [model.embed_steps(x, None), model.embed_task(1, speak=False), model.embedding(text)]
    positions = model.listening_positions(torch.tensor([n], device=x.device), n, text)
    states = model.trunk(torch.cat(stream, dim=1), positions)[0]
    target = F.pad(text[0], (0, 1), value=model.vocabulary.eos)
    nats = F.cross_entropy(model.head(states[n:]).float(), target, reduction="sum")
    if model.ctc is not None and ctc:
        spelt = torch.log_softmax(model.ctc(states[:n]).float(), dim=-1)
        one = torch.tensor([n]), torch.tensor([len(pieces)])
        blank = model.config.n_text
        nats = (1 - ctc) * nats + ctc * F.ctc_loss(spelt, text[0], *one, blank=blank, reduction="sum")
    return float(nats) / (len(pieces) + 1)
