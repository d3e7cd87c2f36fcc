"""The voice of a run of outside.mean."""

from __future__ import annotations

from pathlib import Path

import torch

from intona import checkpoint
from intona import config as configs
from intona.audio import Audio, MelSpec
from intona.synth.capabilities import Capabilities, voice_loader
from intona.synth.options import SpeakOptions
from intona.synth.voice import BaseVoice
from intona.text import Frontend, FrontendConfig, PhonemeTokenizer, load_tokenizer
from intona.vocoder import Vocoder, load_vocoder

from .stage import MeanConfig, MeanModel

CAPABILITIES = Capabilities(system="outside", options=frozenset(), vocoder=True)


class MeanVoice(BaseVoice):
    """Speaks every symbol for as long as any other."""

    capabilities = CAPABILITIES

    def __init__(
        self, model: MeanModel, tokenizer: PhonemeTokenizer, vocoder: Vocoder, voices: dict[str, list[str]]
    ) -> None:
        self.model, self.tokenizer, self.vocoder = model.eval(), tokenizer, vocoder
        self.speakers, self.languages = tuple(voices["speakers"]), tuple(voices["languages"])
        self.frontend = Frontend(FrontendConfig(language=self.languages[0]))

    @property
    def sample_rate(self) -> int:
        return self.vocoder.spec.sample_rate

    @torch.inference_mode()
    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        symbols = [symbol for sentence in self.frontend.speakable(text) for symbol in sentence.phonemes]
        mel = self.model(torch.tensor([self.tokenizer.encode(symbols).ids]))
        return Audio(self.vocoder.decode(mel)[0].numpy(), self.sample_rate)


@voice_loader(CAPABILITIES)
def load(path: Path, *, device: str | torch.device = "cpu", vocoder: str | None = None) -> MeanVoice:
    """Open a checkpoint directory."""
    config = configs.from_dict(MeanConfig, configs.read_json(path / "config.json")["model"])
    model = MeanModel(config)
    checkpoint.load_weights(model, checkpoint.weights(path, "model."), where=path)
    tokenizer = load_tokenizer(path / "tokenizer.json")
    assert isinstance(tokenizer, PhonemeTokenizer)
    opened = load_vocoder(vocoder or "griffin-lim", device=device)
    opened.spec.require_same(MelSpec.load(path / "features.json"), where=path)
    return MeanVoice(model, tokenizer, opened, configs.read_json(path / "voices.json"))
