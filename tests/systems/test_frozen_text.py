"""A published text model as a frozen encoder: its states, what learns and what does not, a voice on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from intona import checkpoint, systems
from intona.data.pieces import collate_pieces, collate_tokens, text_of, utterance_of
from intona.data.prepared import Prepared
from intona.encoders import frozen
from intona.encoders.base import TextEncoder
from intona.errors import UserError
from intona.systems.ditto import voice as ditto

pytest.importorskip("transformers", reason="a published text encoder needs transformers")

pytestmark = pytest.mark.trains
LETTERS = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
SIGNS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with random weights whose pieces are letters."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("bert")
    pieces = [*SIGNS, *LETTERS, *(f"##{c}" for c in LETTERS), *",.!?-"]
    vocabulary = {p: i for i, p in enumerate(pieces)}
    plain = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    plain.normalizer = normalizers.Lowercase()  # type: ignore[assignment]
    plain.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # type: ignore[assignment]
    plain.decoder = decoders.WordPiece()  # type: ignore[assignment]
    plain.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]")
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=400,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


@pytest.fixture(scope="module")
def encoder(bert: Path) -> frozen.FrozenTextEncoder:
    made = frozen.FrozenTextEncoder(frozen.config_of(bert, 40)).eval()
    frozen.start(made, bert)
    return made


def test_states_are_those_of_the_model_itself(
    bert: Path, encoder: frozen.FrozenTextEncoder, spoken: Path
) -> None:
    """In a batch with longer texts, against transformers reading the plain text alone."""
    from transformers import AutoTokenizer, BertModel

    prepared, ours = Prepared.open(spoken), frozen.pieces_of(bert)
    said = [utterance_of(i) for i in prepared.items("train")[:3]]
    texts = [text_of(u, prepared.tokenizer.encode(u.phonemes).ids, ours) for u in said]
    states = encoder.read(collate_pieces(texts))
    model, tokenizer = BertModel.from_pretrained(bert).eval(), AutoTokenizer.from_pretrained(bert)
    for row, text, utterance in zip(states, texts, said, strict=True):
        ids = tokenizer(utterance.plain, return_tensors="pt")
        assert tuple(ids["input_ids"][0, 1:-1].tolist()) == text.pieces
        with torch.no_grad():
            alone = model(**ids).last_hidden_state[0, 1:-1]
        assert torch.allclose(row[: len(alone)], alone, atol=1e-5)


def test_it_is_a_text_encoder_whose_model_does_not_learn(
    bert: Path, encoder: frozen.FrozenTextEncoder, spoken: Path
) -> None:
    assert isinstance(encoder, TextEncoder)
    prepared, ours = Prepared.open(spoken), frozen.pieces_of(bert)
    said = [utterance_of(i) for i in prepared.items("train")[:3]]
    texts = [text_of(u, [1 + n % 39 for n in range(len(u.phonemes))], ours) for u in said]
    tokens, lengths = collate_tokens(texts)
    states, mask = encoder(tokens, lengths, None, collate_pieces(texts))
    for i, text in enumerate(texts):
        one = encoder(*collate_tokens([text]), None, collate_pieces([text]))[0][0]
        assert torch.allclose(states[i, : len(one)], one, atol=1e-5) and int(mask[i].sum()) == len(one)
    encoder.train()
    assert not encoder.published.training and encoder.blocks.training
    encoder(tokens, lengths, None, collate_pieces(texts))[0].sum().backward()
    assert all(p.grad is None for p in encoder.published.parameters())
    assert all(p.grad is not None for p in encoder.words.parameters())
    encoder.zero_grad()
    encoder.eval()


def test_a_voice_stands_on_it(bert: Path, spoken: Path, tmp_path: Path) -> None:
    few = {"latents": "mel8", "loop.steps": "2", "loop.save_every": "2", "loop.validate_every": "2"}
    systems.train(
        "prosody.ditto",
        size="toy",
        data=spoken,
        out=tmp_path / "voice",
        overrides=few | {"optim.lr": "0.01", "optim.warmup": "1"},
        encoder=bert,
    )
    path = checkpoint.resolve(tmp_path / "voice")
    state = checkpoint.weights(path, "model.encoder.")
    from transformers import BertModel

    theirs = BertModel.from_pretrained(bert, add_pooling_layer=False).state_dict()
    kept = {k.removeprefix("published."): v for k, v in state.items() if k.startswith("published.")}
    assert kept.keys() == theirs.keys() and all(torch.equal(kept[k], v) for k, v in theirs.items())
    shutil.copytree(path, tmp_path / "moved")  # everything it needs is in its directory
    voice = ditto.load(tmp_path / "moved")
    audio = voice.say("Да, это так.", steps=1)
    assert audio.duration > 0.2 and (audio.samples == voice.say("Да, это так.", steps=1).samples).all()


def test_other_models_and_long_texts_are_refused(
    bert: Path, encoder: frozen.FrozenTextEncoder, tmp_path: Path
) -> None:
    assert frozen.find(tmp_path) is None  # a run of this project, or nothing
    shutil.copytree(bert, tmp_path / "b")
    config = json.loads((bert / "config.json").read_text())
    (tmp_path / "b" / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(UserError, match="not bert"):
        frozen.find(tmp_path / "b")
    (tmp_path / "b" / "config.json").write_text(json.dumps({**config, "hidden_size": "wide"}))
    with pytest.raises(UserError, match="does not say"):
        frozen.config_of(tmp_path / "b", 40)
    (tmp_path / "b" / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="is missing"):
        frozen.pieces_of(tmp_path / "b")
    with pytest.raises(UserError, match="cannot be loaded"):
        frozen.start(frozen.FrozenTextEncoder(frozen.FrozenTextConfig(n_tokens=9, hidden=48, layers=1)), bert)
    with pytest.raises(UserError, match="the model reads 398"):
        ids = torch.ones(1, 399, dtype=torch.long)
        encoder.read(frozen.Pieces(ids=ids, lengths=torch.tensor([399]), words=ids, token_words=ids))
