"""The speech language model: its bound by hand, gradients, padding, the cache, streams, bad input."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch

from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.nn.sampling import SamplingConfig
from intona.systems.meld import SpeechLM, SpeechLMConfig, generate, listen, stream, surprise
from intona.systems.meld.generate import steps
from intona.systems.meld.model import kl_nats
from intona.systems.meld.parts import PostNet, gaussian_nats, uniforms

TINY = SpeechLMConfig(
    n_text=9,
    n_mels=4,
    codes=6,
    group=2,
    dim=16,
    layers=2,
    heads=2,
    hidden=32,
    dropout=0.0,
    prenet=8,
    positions="time",
    reconstruction_hidden=16,
    reconstruction_blocks=1,
    postnet_channels=8,
    postnet_layers=3,
    postnet_kernel=3,
    context=64,
)


def _model(**changes) -> SpeechLM:
    torch.manual_seed(1)
    model = SpeechLM(dataclasses.replace(TINY, **changes))
    model.codebook.centroids.normal_()
    model.codebook.tau.fill_(2.0)
    model.mean.normal_()
    model.std.uniform_(0.5, 2.0)
    model.spans.uniform_(0.5, 1.5)
    if len(model.postnet.layers):
        torch.nn.init.normal_(list(model.postnet.parameters())[-2], std=0.3)  # as after training: not silent
    return model


def _lasting(**changes) -> SpeechLM:
    """A model that goes on for a while: <EOS> is made unlikely."""
    model = _model(**changes).eval()
    with torch.no_grad():
        model.head.weight[model.vocabulary.eos] = -0.5
        model.trunk.norm.bias.fill_(1.0)
    return model


def _batch() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return {
        "text": torch.tensor([[2, 3, 4, 5], [6, 7, 0, 0], [8, 2, 3, 0]]),
        "text_lengths": torch.tensor([4, 2, 3]),
        "mels": torch.randn(3, 13, 4, generator=g),
        "mel_lengths": torch.tensor([8, 13, 5]),
    }


IDS = ["a", "b", "c"]


def test_kl_and_reconstruction_by_hand() -> None:
    q, p = torch.tensor([0.5, 0.25, 0.25, 0.0]), torch.tensor([0.25, 0.25, 0.125, 0.125])
    # The rest of p's mass, 0.25, lies on text pieces, as in the unified vocabulary.
    want = 0.5 * math.log(2) + 0.25 * math.log(1) + 0.25 * math.log(2)
    assert float(kl_nats(q.log(), p.log())) == pytest.approx(want, abs=1e-6)
    assert float(gaussian_nats(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0]))) == 2.5


@pytest.mark.parametrize("group", [1, 2])
def test_the_losses_are_the_bound_written_out(group: int) -> None:
    """Eq. 3, 6 and 9 in plain loops over one utterance, from the model's own layers."""
    model = _model(group=group).eval()
    c, v = model.config, model.vocabulary
    batch = {k: x[:1] for k, x in _batch().items()}
    losses = model.speaking_losses(**batch, random=ItemRandom(0, 0, ["a"]))
    text, n = batch["text"][0, :4], 8 // group
    x = ((batch["mels"][0, :8] - model.mean) / model.std).reshape(n, group * 4)
    noise = uniforms(ItemRandom(0, 0, ["a"]), [n], model.prenet.noise_dim + 1)
    sequence = torch.cat(
        [
            model.embedding(text),
            model.embedding(torch.tensor([c.n_text + 1])),
            model.prenet(x[None], noise[..., 1:])[0],
        ]
    )
    ends = model.spans[text].cumsum(0)
    positions = torch.cat([ends - model.spans[text] / 2, torch.arange(-1.0, n)])
    states = model.trunk(sequence[None], positions[None])[0]
    kl = reconstruction = slowness = 0.0
    heard, rough = [], []
    for t in range(n):
        d = torch.stack([(x[t] - e).square().sum() for e in model.codebook.centroids])
        q = torch.softmax(-d / 2.0, 0)
        p = torch.softmax(model.head(states[4 + t]), 0)[v.first_code : v.first_code + c.codes]
        kl += float((q * (q / p).log()).sum().detach())
        z = int((q.cumsum(0) <= float(noise[0, t, 0])).sum())
        rough.append(
            model.reconstruction(torch.tensor([[z]]), states[None, None, 4 + t], model.codebook.centroids)[
                0, 0
            ]
        )
    kl -= float(torch.log_softmax(model.head(states[4 + n]), 0)[v.eos].detach())
    rough_frames = torch.stack(rough).reshape(1, 8, 4)
    heard = model.postnet(rough_frames, torch.ones(1, 8, dtype=torch.bool))[0]
    frames = x.reshape(8, 4)
    for t in range(8):
        for mean in (rough_frames[0, t], heard[t]):
            reconstruction += 0.5 * float((frames[t] - mean).square().sum())
    for t in range(7):
        slowness -= math.dist(heard[t].tolist(), heard[t + 1].tolist())
    parts = losses.parts
    assert float(parts["kl"].total) == pytest.approx(kl, rel=1e-4)
    assert float(parts["kl"].count) == n + 1
    assert float(parts["reconstruction"].total) == pytest.approx(reconstruction, rel=1e-4)
    assert float(parts["slowness"].total) == pytest.approx(slowness, rel=1e-4)
    total = kl / (n + 1) + reconstruction / n + 0.2 * slowness / 7
    assert float(losses.total) == pytest.approx(total, rel=1e-4)


def test_training_reads_some_of_the_past_coarsely() -> None:
    """Shares of steps as centroids and as the mean frame; nothing of it when the model is judged."""
    model = _model(centroid_inputs=0.3, dropped_inputs=0.2)
    lengths = torch.tensor([4000, 3000])
    x = torch.randn(2, 4000, 8)
    z = torch.randint(0, 6, (2, 4000))
    seen = model._coarse(x, z, lengths, ItemRandom(0, 0, ["a", "b"]))[0]
    dropped = (seen == 0).all(-1)
    coarse = (seen == model.codebook.centroids[z[0]]).all(-1)
    true = (seen == x[0]).all(-1)
    assert (dropped | coarse | true).all()
    assert float(dropped.float().mean()) == pytest.approx(0.2, abs=0.03)
    assert float(coarse.float().mean()) == pytest.approx(0.3 * 0.8, abs=0.03)
    # Steps are dropped in runs: behind a dropped one the next is likelier to be dropped as well.
    assert float(dropped[1:][dropped[:-1]].float().mean()) > 0.5
    alone = model._coarse(x[1:, :3000], z[1:, :3000], lengths[1:], ItemRandom(0, 0, ["b"]))
    both = model._coarse(x, z, lengths, ItemRandom(0, 0, ["a", "b"]))
    torch.testing.assert_close(alone[0], both[1, :3000])
    plain = _model()
    assert plain._coarse(x, z, lengths, ItemRandom(0, 0, ["a", "b"])) is x
    torch.manual_seed(0)
    judged = [
        float(m.eval().speaking_losses(**_batch(), random=ItemRandom(0, 0, IDS)).total.detach())
        for m in (model, plain)
    ]
    assert judged[0] == judged[1]


def test_what_is_heard_is_masked_in_training_alone() -> None:
    model = _model(heard_masks=2, group=1, prenet_dropout=0.0)
    steps = torch.tensor([200, 100])
    x = torch.ones(2, 200, 4)
    seen = model._masked(x, steps, ItemRandom(0, 0, ["a", "b"]))
    times, bins = (seen == 0).all(2)[0], (seen == 0).all(1)[0]
    assert 0 < int(times.sum()) <= 2 * 0.1 * 200 + 2
    assert int(bins.sum()) <= 2
    alone = model._masked(x[1:, :100], steps[1:], ItemRandom(0, 0, ["b"]))
    torch.testing.assert_close(alone[0], seen[1, :100])
    batch = {k: v[1:2] for k, v in _batch().items()}
    batch |= {"mels": torch.randn(1, 60, 4), "mel_lengths": torch.tensor([60])}
    found = [
        float(model.train(on).listening_losses(**batch, random=ItemRandom(0, 0, ["b"])).total.detach())
        for on in (True, False)
    ]
    assert found[0] != found[1]


def test_listening_keeps_all_that_it_hears() -> None:
    """Without a generator there is no dropout, and no seed to depend on; with one it is the prenet's."""
    model, mel = _model().eval(), torch.randn(8, 4)
    scores = {listen(model, mel, max_pieces=3).score for _ in range(2)}
    noisy = {listen(model, mel, max_pieces=3, random=ItemRandom(0, 0, [str(i)])).score for i in range(4)}
    assert len(scores) == 1 and len(noisy) > 1


def test_the_weight_of_what_is_rendered() -> None:
    """Reconstruction and slowness are weighed together; the KL is left as it is."""
    full, light = _model(), _model(reconstruction_weight=0.1)
    a, b = (m.speaking_losses(**_batch(), random=ItemRandom(0, 0, IDS)).parts for m in (full, light))
    assert {k: p.weight for k, p in b.items()} == {
        "kl": 1.0,
        "reconstruction": 0.1,
        "slowness": pytest.approx(0.02),
        "eos": 0.0,
        "entropy": 0.0,
    }
    assert all(float(a[k].total.detach()) == float(b[k].total.detach()) for k in a)


def test_a_model_that_sees_codes_reads_the_code_it_drew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What training feeds back is the centroid of the code at that step; so does speaking."""
    model = _lasting(see="codes")
    read = []
    real = type(model.prenet).forward
    monkeypatch.setattr(
        type(model.prenet), "forward", lambda self, x, noise: read.append(x) or real(self, x, noise)
    )
    done = generate(model, torch.tensor([2, 5, 8]), max_steps=12, random=ItemRandom(0, 0, ["x"]))
    assert len(set(done.codes)) > 1
    torch.testing.assert_close(torch.cat([x[0] for x in read]), model.codebook.centroids[done.codes])


def test_text_loss_by_hand() -> None:
    model = _model(prenet_dropout=0.0).eval()
    batch = {k: x[1:2] for k, x in _batch().items()}
    losses = model.listening_losses(**batch, random=ItemRandom(0, 0, ["b"]))
    x = model.normalized(batch["mels"])
    text = torch.tensor([6, 7])
    sequence = torch.cat(
        [model.prenet(x, None)[0], model.embedding(torch.tensor([TINY.n_text + 2])), model.embedding(text)]
    )
    positions = torch.cat([torch.arange(6.0), torch.zeros(1), model.spans[text].cumsum(0)])
    p = torch.log_softmax(model.head(model.trunk(sequence[None], positions[None])[0]), -1)
    want = -(p[6, 6] + p[7, 7] + p[8, model.vocabulary.eos])
    assert float(losses.parts["text"].total) == pytest.approx(float(want), rel=1e-5)
    assert float(losses.parts["text"].count) == 3


def test_the_second_reading_is_the_sum_over_all_alignments() -> None:
    """CTC by brute force: every string of pieces and blanks over the steps that spells the text."""
    model = _model(prenet_dropout=0.0, ctc=0.3).eval()
    batch = {k: x[1:2] for k, x in _batch().items()}
    part = model.listening_losses(**batch, random=ItemRandom(0, 0, ["b"])).parts["ctc"]
    x = model.normalized(batch["mels"])
    assert model.ctc is not None and x.shape[1] == 6
    states = model.trunk(model.prenet(x, None), torch.arange(6.0)[None])  # causal: what follows is not seen
    log_p = torch.log_softmax(model.ctc(states)[0], -1)
    blank, total = TINY.n_text, torch.tensor(0.0)
    for path in itertools.product((6, 7, blank), repeat=6):
        merged = [s for s, before in zip(path, (None, *path[:-1]), strict=True) if s != before]
        if [s for s in merged if s != blank] == [6, 7]:
            total = total + log_p[range(6), list(path)].sum().exp()
    assert float(part.total) == pytest.approx(-math.log(float(total)), rel=1e-4)
    assert float(part.count) == 2 and part.weight == 0.3


@pytest.mark.trains
def test_the_entropy_of_q_never_changes() -> None:
    """The codebook is frozen and q has no weights: H(q) is a constant of the data (section 3.1)."""
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = []
    for step in range(3):
        losses = model.speaking_losses(**_batch(), random=ItemRandom(0, step, IDS))
        seen.append(float(losses.parts["entropy"].mean.detach()))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    assert seen[0] == seen[1] == seen[2]
    assert not any("centroids" in n for n, _ in model.named_parameters())


def test_the_prenet_learns_from_both_terms() -> None:
    model = _model()
    losses = model.speaking_losses(**_batch(), random=ItemRandom(0, 0, IDS))
    gradients = {}
    for name in ("kl", "reconstruction"):
        found = torch.autograd.grad(
            losses.parts[name].mean, list(model.prenet.parameters()), retain_graph=True
        )
        gradients[name] = torch.cat([g.flatten() for g in found])
        assert float(gradients[name].abs().max()) > 1e-6
    cosine = torch.cosine_similarity(gradients["kl"], gradients["reconstruction"], dim=0)
    assert abs(float(cosine)) < 0.999  # two terms, two directions
    frozen = _model(train_prenet=False)
    frozen.speaking_losses(**_batch(), random=ItemRandom(0, 0, IDS)).total.backward()
    assert all(p.grad is None for p in frozen.prenet.parameters())


@pytest.mark.parametrize("positions", ["time", "sequence"])
def test_a_batch_is_its_items_one_by_one(positions: str) -> None:
    """Padding changes nothing, dropout of the prenet and the draw of z included."""
    model = _model(positions=positions, ctc=0.5).train()
    batch = _batch()
    for losses in (model.speaking_losses, model.listening_losses):
        together = losses(**batch, random=ItemRandom(0, 3, IDS)).parts
        alone: dict[str, list[float]] = {k: [0.0, 0.0] for k in together}
        for i, name in enumerate(IDS):
            n, t = int(batch["text_lengths"][i]), int(batch["mel_lengths"][i])
            one = losses(
                text=batch["text"][i : i + 1, :n],
                text_lengths=batch["text_lengths"][i : i + 1],
                mels=batch["mels"][i : i + 1, :t],
                mel_lengths=batch["mel_lengths"][i : i + 1],
                random=ItemRandom(0, 3, [name]),
            ).parts
            for k, part in one.items():
                alone[k][0] += float(part.total.detach())
                alone[k][1] += float(part.count)
        for k, part in together.items():
            assert float(part.total.detach()) == pytest.approx(alone[k][0], rel=1e-5, abs=1e-5), k
            assert float(part.count) == alone[k][1], k


@pytest.mark.parametrize("arm", [{}, {"positions": "sequence", "group": 1}, {"see": "codes"}])
def test_cached_equals_uncached(arm: dict) -> None:
    model = _lasting(**arm)
    text = torch.tensor([2, 5, 8])
    prompt = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))
    for given in (None, prompt):
        a, b = (
            generate(model, text, prompt=given, max_steps=20, random=ItemRandom(0, 0, ["x"]), cached=cached)
            for cached in (True, False)
        )
        assert a.codes == b.codes and a.ended == b.ended
        assert len(a.codes) > 1
        torch.testing.assert_close(a.mel, b.mel, atol=1e-5, rtol=0)
    x, y = (
        listen(model, prompt, max_pieces=8, beam=3, random=ItemRandom(0, 0, ["x"]), cached=cached)
        for cached in (True, False)
    )
    assert x.pieces == y.pieces
    assert x.score == pytest.approx(y.score, abs=1e-5)


def test_generation_reads_what_training_computed() -> None:
    """The states of a teacher-forced stream and of the cache fed with the same frames agree."""
    model = _model(prenet_dropout=0.0).eval()
    text = torch.tensor([[2, 5, 8]])
    mel = torch.randn(1, 10, 4)
    x = model.normalized(mel)
    stream_ = torch.cat(
        [model.embedding(text), model.embed_task(1, speak=True), model.embed_steps(x, None)], 1
    )
    positions = model.speaking_positions(text, torch.tensor([3]), 5)
    whole = model.trunk(stream_, positions)
    cache = model.trunk.new_cache(9)
    parts = [
        model.trunk(stream_[:, a:b], positions[:, a:b], cache) for a, b in ((0, 4), (4, 5), (5, 8), (8, 9))
    ]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)


def test_it_speaks_and_listens_in_bfloat16() -> None:
    """Under autocast keys are bfloat16, and so must the cache be."""
    model = _lasting()
    prompt = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    with torch.autocast("cpu", torch.bfloat16):
        spoken = generate(
            model, torch.tensor([2, 5]), prompt=prompt, max_steps=6, random=ItemRandom(0, 0, ["x"])
        )
        heard = listen(model, prompt, max_pieces=4, beam=2, random=ItemRandom(0, 0, ["x"]))
        losses = model.train().speaking_losses(**_batch(), random=ItemRandom(0, 0, IDS))
    assert len(spoken.mel) == 12 and spoken.mel.dtype == torch.float32
    assert torch.isfinite(spoken.mel).all() and math.isfinite(heard.score)
    exact = model.speaking_losses(**_batch(), random=ItemRandom(0, 0, IDS))
    assert float(losses.total.detach()) == pytest.approx(float(exact.total.detach()), rel=0.05)


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_streamed_chunks_are_the_whole(chunk: int) -> None:
    model = _lasting()
    text = torch.tensor([2, 5, 8])
    how = {"max_steps": 20, "sampling": SamplingConfig(top_p=1.0)}
    for prompt in (None, torch.randn(7, 4, generator=torch.Generator().manual_seed(3))):
        whole = generate(model, text, prompt=prompt, random=ItemRandom(0, 0, ["x"]), **how)
        pieces = list(stream(model, text, prompt=prompt, random=ItemRandom(0, 0, ["x"]), chunk=chunk, **how))
        torch.testing.assert_close(torch.cat([p.mel for p in pieces]), whole.mel, atol=1e-5, rtol=0)
        assert [z for p in pieces for z in p.codes] == whole.codes
        assert len(whole.mel) == 2 * len(whole.codes)
        if chunk == 1:
            assert len(pieces) > 3


def test_the_postnet_is_silent_at_first() -> None:
    net = PostNet(4, 8, 3, 3)
    assert net.reach == 3
    x = torch.randn(1, 9, 4)
    torch.testing.assert_close(net(x, torch.ones(1, 9, dtype=torch.bool)), x)


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_the_postnet_reads_the_prompt_and_the_whole(chunk: int) -> None:
    """What leaves in chunks is the PostNet over prompt and speech at once, cut behind the prompt."""
    model, text = _lasting(), torch.tensor([2, 5, 8])
    for prompt in (None, torch.randn(7, 4, generator=torch.Generator().manual_seed(3))):
        how = {"max_steps": 12, "prompt": prompt, "sampling": SamplingConfig(top_p=1.0)}
        spoken = list(steps(model, text, random=ItemRandom(0, 0, ["x"]), **how))
        rough = torch.cat([s.frames for s in spoken if s.frames is not None])
        n = 0 if prompt is None else 6  # the unfinished step of the prompt is dropped
        if prompt is not None:
            rough = torch.cat([model.frames(model.normalized(prompt[None]))[0], rough])
        whole = model.postnet(rough[None], torch.ones(1, len(rough), dtype=torch.bool))[0, n:]
        pieces = list(stream(model, text, random=ItemRandom(0, 0, ["x"]), chunk=chunk, **how))
        got = torch.cat([p.mel for p in pieces])
        torch.testing.assert_close(got, model.denormalized(whole), atol=1e-5, rtol=0)
        if prompt is not None:  # and it does read it
            bare = model.postnet(rough[None, n:], torch.ones(1, len(rough) - n, dtype=torch.bool))[0]
            assert float((bare[0] - whole[0]).detach().abs().max()) > 1e-3


def test_generation_ends_by_itself_or_at_the_cap() -> None:
    model = _model().eval()
    text = torch.tensor([2, 3])
    always = SamplingConfig(temperature=0.0)
    with torch.no_grad():
        model.trunk.norm.bias.fill_(1.0)
        model.head.weight[model.vocabulary.eos] = 5.0
    done = generate(model, text, max_steps=5, sampling=always, random=ItemRandom(0, 0, ["x"]))
    assert done.ended and done.codes == [] and done.mel.shape == (0, 4)
    with torch.no_grad():
        model.head.weight[model.vocabulary.eos] = -5.0
    done = generate(model, text, max_steps=5, sampling=always, random=ItemRandom(0, 0, ["x"]))
    assert not done.ended and len(done.codes) == 5


@pytest.mark.parametrize("cached", [True, False])
def test_speech_as_long_as_the_cap_can_end(cached: bool) -> None:
    model = _model().eval()
    following = iter([0, 1, model.config.codes])

    def says(states: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(*states.shape[:-1], model.head.out_features)
        out[..., model.vocabulary.first_code + next(following)] = 9.0
        return out

    model.head.forward = says  # type: ignore[method-assign]
    how = {"sampling": SamplingConfig(temperature=0.0), "random": ItemRandom(0, 0, ["x"]), "cached": cached}
    done = generate(model, torch.tensor([2, 3]), max_steps=2, **how)
    assert done.ended and done.codes == [0, 1] and done.mel.shape == (4, 4)


@pytest.mark.parametrize("ctc", [0.0, 0.4])
def test_beam_search_finds_no_worse_than_greedy(ctc: float) -> None:
    """With more beams than texts the search is exhaustive: it must find the best of all texts."""
    model = _model(ctc=ctc).eval()
    mel = torch.randn(8, 4)
    greedy = listen(model, mel, max_pieces=2, random=ItemRandom(0, 0, ["x"]), ctc=ctc)
    wide = listen(model, mel, max_pieces=2, beam=200, random=ItemRandom(0, 0, ["x"]), ctc=ctc)
    assert wide.ended
    if greedy.ended:  # else it has no whole text to compare
        assert wide.score >= greedy.score - 1e-6
    x = model.normalized(mel[None])
    noise = uniforms(ItemRandom(0, 0, ["x"]), [4], model.prenet.noise_dim + 1)[..., 1:]
    base = torch.cat([model.embed_steps(x, noise), model.embed_task(1, speak=False)], dim=1)
    best = (-math.inf, [])
    for length in range(3):
        for number in range(9**length):
            text = [(number // 9**i) % 9 for i in range(length)]
            row = torch.tensor([text], dtype=torch.long)
            states = model.trunk(
                torch.cat([base, model.embedding(row)], 1),
                model.listening_positions(torch.tensor([4]), 4, row),
            )
            p = torch.log_softmax(model.head(states[0, 4:]), -1)
            score = sum(float(p[i, t].detach()) for i, t in enumerate([*text, model.vocabulary.eos]))
            if model.ctc is not None:
                spelt = torch.log_softmax(model.ctc(states[0, :4]), -1)[:, None]
                sizes = torch.tensor([4]), torch.tensor([length])
                nats = torch.nn.functional.ctc_loss(spelt, row, *sizes, blank=9, reduction="sum")
                score = (1 - ctc) * score - ctc * float(nats.detach())
            best = max(best, (score / (length + 1), text))
    assert wide.pieces == best[1]
    assert wide.score == pytest.approx(best[0], abs=1e-5)


@pytest.mark.parametrize("beam", [1, 3])
def test_a_text_as_long_as_the_cap_can_end(beam: int) -> None:
    model = _model().eval()
    following = iter([3, 3, model.vocabulary.eos])

    def says(states: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(*states.shape[:-1], model.head.out_features)
        out[..., next(following)] = 9.0
        return out

    model.head.forward = says  # type: ignore[method-assign]
    hypothesis = listen(model, torch.randn(8, 4), max_pieces=2, beam=beam)
    assert hypothesis.ended and hypothesis.pieces == [3, 3]


@pytest.mark.parametrize("ctc", [0.0, 0.4])
def test_the_least_surprising_text_is_the_one_that_is_heard(ctc: float) -> None:
    model = _model(ctc=ctc).eval()
    mel = torch.randn(8, 4)
    heard = listen(model, mel, max_pieces=3, beam=200, ctc=ctc)  # exhaustive
    assert surprise(model, mel, heard.pieces, ctc=ctc) == pytest.approx(-heard.score, abs=1e-5)
    for other in ([], [1], [4, 4], [7, 2]):
        assert surprise(model, mel, other, ctc=ctc) >= -heard.score - 1e-6
    # Four steps cannot spell four times the same piece: a blank belongs between two.
    assert math.isinf(surprise(model, mel, [3, 3, 3, 3], ctc=ctc)) == bool(ctc)
    assert math.isinf(surprise(model, torch.zeros(1, 4), [1])) and math.isinf(surprise(model, mel, [1] * 99))


def test_bad_input_is_named() -> None:
    model = _model().eval()
    random = ItemRandom(0, 0, ["x"])
    with pytest.raises(UserError, match="nothing to say"):
        next(steps(model, torch.zeros(0, dtype=torch.long), max_steps=5, random=random))
    with pytest.raises(UserError, match="context is 64"):
        next(steps(model, torch.tensor([2]), max_steps=5, prompt=torch.zeros(200, 4), random=random))
    with pytest.raises(UserError, match="context of 64"):
        listen(model, torch.zeros(200, 4), max_pieces=5, random=random)
    with pytest.raises(UserError, match="too short"):
        listen(model, torch.zeros(1, 4), max_pieces=5, random=random)


def test_paper_size() -> None:
    # "~200 M parameters": 12 layers, 1024, 16 heads, K = 8192, 4096 pieces.
    with torch.device("meta"):
        model = SpeechLM(SpeechLMConfig(n_text=4096))
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(180e6, rel=0.03)
    assert len(model.vocabulary) == 4096 + 8192 + 3
