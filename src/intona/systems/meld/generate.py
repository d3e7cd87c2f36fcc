"""Speaking: one step after the other, from a key-value cache, until the model produces <EOS>."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from intona.errors import UserError
from intona.nn.causal import single_rows
from intona.nn.masks import length_mask
from intona.nn.random import ItemRandom
from intona.nn.sampling import SamplingConfig, choose
from intona.systems.meld.model import SpeechLM
from intona.systems.meld.parts import uniforms

GROWTH = 4
AHEAD = 64  # steps whose random numbers are drawn at once


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What was spoken after the prompt.

    Args:
        mel: (T, n_mels) natural log.
        codes: (S,) latents.
        ended: the model produced <EOS>; False = it was cut at the cap, which counts as a failure.
    """

    mel: Tensor
    codes: list[int]
    ended: bool


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the stream: frames before the PostNet (group, n_mels), normalized; None = <EOS>."""

    frames: Tensor | None
    code: int


@torch.inference_mode()
def steps(
    model: SpeechLM,
    text: Tensor,
    *,
    max_steps: int,
    prompt: Tensor | None = None,
    sampling: SamplingConfig | None = None,
    random: ItemRandom,
    spans: Tensor | None = None,
    cached: bool = True,
) -> Iterator[Step]:
    """Steps after `text <TTS> prompt`: at most `max_steps`, then <EOS> if the model ends by itself.

    Args:
        text: (N,) pieces; with a prompt those of the prompt come first.
        prompt: (T, n_mels) natural-log mel that is continued.
        random: of one item.
        spans: (N,) with `positions` "time", the steps that each piece lasts; None = as expected.
        cached: False reads the whole stream anew at every step: for tests and the benchmark.

    Raises:
        UserError: no text, or a stream longer than the model's context.
    """
    c, sampling = model.config, sampling or SamplingConfig()
    if not len(text):
        raise UserError("nothing to say")
    past = model.normalized(prompt[None]) if prompt is not None else model.mean.new_zeros(1, 0, c.step_dim)
    prefix = len(text) + 1 + past.shape[1]
    if prefix + max_steps > c.context:
        raise UserError(
            f"text and reference take {prefix} positions and the speech may take {max_steps}; "
            f"the model's context is {c.context}",
            hint="shorten the text or the reference",
        )
    noise = _Noise(random, model.prenet.noise_dim + 1)
    positions = model.speaking_positions(
        text[None],
        torch.tensor([len(text)], device=text.device),
        past.shape[1] + max_steps,
        spans=None if spans is None else spans[None],
    )
    before = [noise.next() for _ in range(past.shape[1])]
    parts = [model.embedding(text[None]), model.embed_task(1, speak=True)]
    if before:
        parts.append(model.embed_steps(past, torch.stack(before)[None, :, 1:]))
    stream = torch.cat(parts, dim=1)
    cache = model.trunk.new_cache(prefix + max_steps) if cached else None
    fresh, at = stream, 0
    candidates: Tensor | None = None
    first, codes = model.vocabulary.first_code, c.codes
    for number in range(max_steps + 1):
        numbers = noise.next()
        with single_rows():
            if cache is not None:
                state = model.trunk(fresh, positions[:, at : at + fresh.shape[1]], cache)[:, -1]
                at += fresh.shape[1]
            else:
                state = model.trunk(stream, positions[:, : stream.shape[1]])[:, -1]
            # Codes and <EOS> are what may follow; text and task tokens are not.
            logits = model.head(state)[0, first : first + codes + 1]
            # <EOS> is a candidate like the codes: were it spared the penalty, its odds would grow by up to e
            # at every step of a held sound, whose codes are all penalised.
            code, candidates = choose(logits, sampling, float(numbers[0]), before=candidates)
            if code < codes and number == max_steps:
                return  # cut
            if code < codes:
                z = torch.tensor([[code]], device=state.device)
                x = model.reconstruction(z, state[:, None], model.codebook.centroids)
                # A model that sees codes reads the one it drew, not the one nearest to its reconstruction.
                seen = model.codebook.centroids[z] if c.see == "codes" else x
                fresh = model.prenet(seen, numbers[None, None, 1:])
        if code == codes:
            yield Step(frames=None, code=code)
            return
        yield Step(frames=x.view(c.group, c.n_mels).float(), code=code)
        if cache is None:
            stream = torch.cat([stream, fresh], dim=1)


class _Noise:
    """The random numbers of one stream, step by step; drawn in blocks."""

    def __init__(self, random: ItemRandom, dim: int) -> None:
        self.random, self.dim = random, dim
        self.block, self.used = torch.empty(0), 0

    def next(self) -> Tensor:
        if self.used >= len(self.block):
            self.block, self.used = uniforms(self.random, [AHEAD], self.dim)[0], 0
        self.used += 1
        return self.block[self.used - 1]


@torch.inference_mode()
def generate(
    model: SpeechLM,
    text: Tensor,
    *,
    max_steps: int,
    prompt: Tensor | None = None,
    sampling: SamplingConfig | None = None,
    random: ItemRandom,
    spans: Tensor | None = None,
    cached: bool = True,
) -> Generated:
    """All steps, then the PostNet over the whole. Arguments as in `steps`."""
    return whole(
        stream(
            model,
            text,
            max_steps=max_steps,
            prompt=prompt,
            sampling=sampling,
            random=random,
            spans=spans,
            cached=cached,
            chunk=max_steps * model.config.group,
        )
    )


def whole(chunks: Iterable[Generated]) -> Generated:
    """The chunks of `stream`, at least one, as one."""
    every = list(chunks)
    return Generated(
        mel=torch.cat([c.mel for c in every]),
        codes=[z for c in every for z in c.codes],
        ended=every[-1].ended,
    )


@torch.inference_mode()
def stream(
    model: SpeechLM,
    text: Tensor,
    *,
    max_steps: int,
    chunk: int = 43,
    prompt: Tensor | None = None,
    sampling: SamplingConfig | None = None,
    random: ItemRandom,
    spans: Tensor | None = None,
    cached: bool = True,
) -> Iterator[Generated]:
    """Finished mels in chunks: together exactly what `generate` gives.

    The first has about `chunk` frames, so that sound starts early; each next one is twice as long, up to
    GROWTH times the first: a vocoder pays for what it sees on both sides of every chunk.

    The PostNet looks `reach` frames ahead, so a chunk leaves as soon as those stand. The last one, which
    alone says whether the model ended by itself, may be empty.
    """
    c, reach = model.config, model.postnet.reach
    left = model.frames(model.normalized(prompt[None]))[0][-reach:] if prompt is not None and reach else None
    rough: list[Tensor] = [] if left is None else [left]
    context = 0 if left is None else len(left)
    done, total, codes = 0, 0, []  # frames yielded, frames available, both after the prompt
    ended, size = False, chunk
    for step in steps(
        model,
        text,
        max_steps=max_steps,
        prompt=prompt,
        sampling=sampling,
        random=random,
        spans=spans,
        cached=cached,
    ):
        if step.frames is None:
            ended = True
            break
        rough.append(step.frames)
        codes.append(step.code)
        total += c.group
        if total - reach - done >= size:
            end = total - reach
            mel, rough, context = _finish(model, rough, context, end - done)
            yield Generated(mel=mel, codes=codes, ended=False)
            done, codes, size = end, [], min(2 * size, GROWTH * chunk)
    mel = (
        _finish(model, rough, context, total - done)[0] if total > done else model.mean.new_zeros(0, c.n_mels)
    )
    yield Generated(mel=mel, codes=codes, ended=ended)


def _finish(model: SpeechLM, rough: list[Tensor], context: int, n: int) -> tuple[Tensor, list[Tensor], int]:
    """PostNet over [context, n frames, what lies ahead]: the n frames as log mels, the next call's past."""
    x = torch.cat(rough)
    mask = length_mask(torch.tensor([len(x)], device=x.device))
    y = model.postnet(x[None], mask)[0, context : context + n]
    keep = min(model.postnet.reach, context + n)
    return model.denormalized(y), [x[context + n - keep :]], keep
