"""Captions from measurements, the style net on pairs that can be learned, vectors of a random BERT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from intona.encoders.captions import caption, corpus_scale, deviations
from intona.encoders.ecapa import EcapaConfig
from intona.encoders.style import NAMES, ProsodyStyle
from intona.encoders.style_net import StyleNet, StyleNetConfig, tower
from intona.errors import UserError


def said(**z: float) -> str:
    values = np.array([z.get(n, 0.0) for n in NAMES])
    return caption(values, np.random.default_rng(0), mention=1.0)


def test_a_caption_says_what_was_measured() -> None:
    assert said(pitch=-1.0) == "low" and said(pitch=1.0) == "high"
    assert (
        said(rate=2.0) == "very fast" and said(rate=-0.5) == "slightly slow" and said(rate=0.3) == "neutral"
    )
    assert set(said(pitch=1, energy=-1, range=1).split(", ")) == {"high", "quiet", "lively"}
    rng = np.random.default_rng(1)
    z = np.full(len(NAMES), 1.0)
    drawn = {caption(z, rng) for _ in range(50)}
    assert len(drawn) > 10  # subsets and orders
    full = caption(z, rng, speaker="Anna", language="en")
    assert full.endswith("voice, spoken by Anna in English")


def test_every_caption_is_read_by_the_words_of_the_prosody_style() -> None:
    rng = np.random.default_rng(2)
    style = ProsodyStyle()
    for _ in range(200):
        z = 1.5 * rng.standard_normal(len(NAMES))
        vector = style.of_text(caption(z, rng, mention=1.0))
        for k, name in enumerate(NAMES):
            if abs(z[k]) >= 0.4 and name != "dynamics":  # "calm" and "lively" speak of it too
                assert vector[k] * z[k] > 0, name


def test_deviations_are_of_the_corpus() -> None:
    rows = [dict.fromkeys(NAMES, v) for v in (1.0, 3.0)]
    scale = corpus_scale(rows)
    assert scale["pitch"] == (2.0, 1.0)
    assert deviations(rows[1], scale) == pytest.approx(np.ones(len(NAMES)))
    with pytest.raises(UserError, match="1 recordings"):
        corpus_scale(rows[:1])


@pytest.mark.trains
def test_the_net_learns_pairs_and_ignores_padding() -> None:
    """Mels whose mean bin is the first number of the text: a sound's own text becomes its nearest."""
    torch.manual_seed(0)
    sizes = EcapaConfig(n_mels=12, channels=16, hidden=32, bottleneck=8, scale=4, dim=16)
    net = StyleNet(StyleNetConfig(audio=sizes, text_dim=3, dim=8))
    levels = torch.linspace(-2, 2, 16)
    text = torch.stack([levels, levels**2, torch.ones(16)], dim=1)
    mels = levels[:, None, None] + 0.1 * torch.randn(16, 20, 12)
    lengths = torch.full((16,), 20)
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
    losses = []
    for _ in range(50):
        parts = net.parts(net.embed_text(text), net.embed_audio(mels, lengths))
        optimizer.zero_grad()
        parts["contrastive"].mean.backward()
        optimizer.step()
        losses.append(float(parts["contrastive"].mean.detach()))
    assert losses[-1] < 0.8 * losses[0]  # .18 to .42 of it measured; neighbours stay alike
    net.eval()
    with torch.no_grad():
        own = net.embed_audio(mels, lengths)
        near = (net.embed_text(text) @ own.T).argmax(1)
        assert float((near - torch.arange(16)).abs().float().mean()) < 1.5  # .3 to .5 measured, 5 by chance
        padded = torch.cat([mels, torch.full((16, 7, 12), 1000.0)], dim=1)
        assert torch.allclose(net.embed_audio(padded, lengths), own, atol=1e-5)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers", reason="sentence vectors need transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "calm", "low", "voice", "very"]
    plain = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]")
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=140,
    )
    BertModel(config).save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def test_sentence_vectors_are_the_mean_of_the_last_states(bert: Path) -> None:
    from transformers import AutoTokenizer, BertModel

    ours = tower(str(bert))
    texts = ["low", "a very calm voice"]
    found = ours.of_texts(texts)
    model, tokenizer = BertModel.from_pretrained(bert).eval(), AutoTokenizer.from_pretrained(bert)
    for text, row in zip(texts, found, strict=True):  # alone: padding beside others must not count
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        assert np.allclose(row, (mean / mean.norm()).numpy(), atol=1e-5)
    assert found.shape == (2, 16) and ours.dim == 16


def test_sentence_encoder_refuses(bert: Path, tmp_path: Path) -> None:
    ours = tower(str(bert))
    with pytest.raises(UserError, match="English"):
        ours.of_texts(["спокойный голос"])
    with pytest.raises(UserError, match="empty style"):
        ours.of_texts(["low", " "])
    shutil.copytree(bert, tmp_path / "b")
    config = json.loads((bert / "config.json").read_text())
    (tmp_path / "b" / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(UserError, match="not bert"):
        tower(str(tmp_path / "b"))
    with pytest.raises(UserError, match="no such directory"):
        tower("/nowhere")


def test_the_words_tower_is_the_prosody_style() -> None:
    words = tower("words")
    assert np.array_equal(words.of_texts(["very low", "тихо"])[0], ProsodyStyle().of_text("very low"))
