"""How far a latent diffusion voice is from being understood, told sooner than error rates tell it.

    python benchmarks/ditto_heard.py --run runs/ditto --data data/ru --clauses 20

The first dev clauses of 20 to 70 symbols, each as long as it was recorded, with another recording of the
speaker for the voice: Whisper base's loss of the true text, nats a piece (`Transcriber.surprise`), and the
character error rate. Spoken from nothing; from the recording under so much noise that only what is loud in
its latents shows (alpha / sigma of `--from`), so that what is lost after that is detail; and the latents
themselves, the most that can be had. In brackets 95 % bootstrap intervals over clauses. Two runs of one
latent space can be compared in all rows, those of different spaces in the first and the last.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from intona.audio import read_audio
from intona.data import clauses
from intona.data.pieces import utterance_of
from intona.data.prepared import Item, Prepared
from intona.evaluation.judges.recognizer import AsrConfig, Transcriber
from intona.evaluation.judges.wer import character_edits
from intona.evaluation.normalize import normalizer
from intona.evaluation.stats import Interval, ratio_interval
from intona.nn.random import ItemRandom
from intona.systems.ditto import voice as ditto
from intona.systems.ditto.voice import DittoVoice

SYMBOLS = (20, 70)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clauses", type=int, default=20)
    parser.add_argument("--language", help="of the clauses, if the corpus has several")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--from", type=float, default=0.7, dest="start", metavar="ALPHA/SIGMA")
    arguments = parser.parse_args()
    prepared, voice = Prepared.open(arguments.data), ditto.load(arguments.run)
    language = arguments.language or prepared.languages[0]
    dev = [i for i in prepared.items("dev") if i.language == language]
    parts = clauses.cut(prepared, dev) or list(dev)
    parts = [c for c in parts if SYMBOLS[0] <= len(c.phonemes) <= SYMBOLS[1]][: arguments.clauses]
    if not parts:
        parser.error(
            f"{arguments.data}: no dev clauses in {language} of {SYMBOLS[0]} to {SYMBOLS[1]} symbols"
        )
    listen = Transcriber(AsrConfig(language=language))
    rows = {
        "from nothing": 0.0,
        f"from alpha / sigma {arguments.start:g}": arguments.start,
        "latents": math.inf,
    }
    print(
        f"{len(parts)} dev clauses, {arguments.steps} steps, "
        f"guidance {arguments.guidance:g}, temperature {arguments.temperature:g}"
    )
    print("| | loss of the text, nats a piece | CER |\n|---|---|---|")
    for name, ratio in rows.items():
        found = [
            _heard(voice, prepared, listen, dev, k, item, ratio, arguments) for k, item in enumerate(parts)
        ]
        losses, pieces, wrong, characters = zip(*found, strict=True)
        loss, cer = ratio_interval(losses, pieces), ratio_interval(wrong, characters)
        print(f"| {name} | {_shown(loss)} | {_shown(cer)} |", flush=True)
    return 0


@torch.inference_mode()
def _heard(
    voice: DittoVoice,
    prepared: Prepared,
    listen: Transcriber,
    dev: list[Item],
    k: int,
    item: Item,
    ratio: float,
    arguments: argparse.Namespace,
) -> tuple[float, int, int, int]:
    """Loss of the text and its pieces; characters wrong and characters."""
    model = voice.model.eval()
    mel = torch.from_numpy(prepared.mel(item))[None]
    latents, lengths = model.space.encode(mel, torch.tensor([mel.shape[1]]))
    other = next(i for i in (*dev[k + 7 :], *dev) if i.speaker == item.speaker and i.file != item.file)
    reference = voice.reference(read_audio(prepared.audio_path(other)))[None]
    tokens, token_lengths, pieces = voice.numbers([utterance_of(item)])

    if ratio == math.inf:
        decoded = model.space.decode(latents, lengths)
    else:
        decoded = model.synthesize(
            tokens,
            token_lengths,
            pieces=pieces,
            references=reference,
            reference_lengths=torch.tensor([reference.shape[1]]),
            latent_lengths=lengths,
            source=latents,
            start=model.process.time(ratio),
            steps=arguments.steps,
            guidance=arguments.guidance,
            temperature=arguments.temperature,
            random=ItemRandom(0, 0, [item.id]),
        ).mel
    audio = voice.audio(voice.vocoder.decode(decoded.float())[0].float().numpy())
    clean = normalizer(item.language)
    edits = character_edits(clean(item.text), clean(listen(audio).text))
    return (*listen.surprise(audio, item.text), edits.errors, edits.reference)


def _shown(found: Interval) -> str:
    bounds = "" if found.low is None else f" [{found.low:.3f}, {found.high:.3f}]"
    return f"{found.estimate:.3f}{bounds}"


if __name__ == "__main__":
    raise SystemExit(main())
