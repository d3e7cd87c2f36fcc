"""What is timed: each function returns rows, or raises `NotThere` with what is missing.

Weights are random where only speed is asked for. "5 s" = 430 frames of 256 samples at 22,050 Hz.
"""

from __future__ import annotations

import dataclasses
import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import Timing, measure, paired_ratio, timing, turns

SECONDS = 5.0
FRAMES = 430
TOKENS = 86
SENTENCES = (
    "Сквозь волнистые туманы пробирается луна.",
    "На печальные поляны льёт печально свет она.",
    "Он прожил в деревне двадцать лет и ни разу не видел моря.",
    "Скажите, пожалуйста, когда отправляется последний поезд?",
)
TEN_SECONDS = (
    "В старом доме у реки давно никто не жил, но каждый вечер в окне горел тёплый жёлтый свет, "
    "и соседи говорили, что это просто отражение заката."
)


class NotThere(Exception):
    """A part that this checkout, or this machine, does not have."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """One row. `rtf` = seconds of work per second of audio; `ratio` = how much faster than the row named."""

    part: str
    what: str
    time: Timing
    rtf: float | None = None
    rate: str = ""
    ratio: float | None = None
    ratio_to: str = ""


def _voice(seconds: float = SECONDS) -> Any:
    from intona.audio import Audio

    t = np.arange(round(seconds * 22_050)) / 22_050
    x = sum(np.sin(2 * np.pi * 120 * k * t + np.sin(3 * t)) / k for k in range(1, 12))
    return Audio((0.1 * np.asarray(x)).astype(np.float32), 22_050)


EVERYDAY = (
    "Встреча 15.05.2026 в 18:30, ул. Ленина, д. 7, кв. 12.",
    "Ночью −5 °C, ветер до 12 м/с, днём около 3 градусов.",
    "Из 40 стран приехали не менее 100 человек, 2 девочки и 1 тетрадь забыты.",
    "В XIX в. население выросло с 5 до 10 млн чел., т. е. на 100 %.",
)
EVERYDAY_EN = (
    "On May 5, 2026 at 6:30 p.m., Dr. Smith paid $5.3 million for 12 km² of land.",
    "Chapter IV says that Henry VIII weighed 150 kg, i.e. about 330 lb.",
    "Call +1 (555) 123-4567 or write to info@example.com before 10/01/2026.",
    "The U.S. sent 3/4 cup of flour, 2nd class, at −5 °C.",
)


def text(budget: float) -> list[Result]:
    """Normalization, stress and phonemes."""
    from intona.text import Frontend, FrontendConfig

    results = []
    for language, stress, kind, sentences in (
        ("ru", "none", "plain", SENTENCES),
        ("ru", "auto", "plain", SENTENCES),
        ("ru", "auto", "everyday", EVERYDAY),
        ("en", "auto", "everyday", EVERYDAY_EN),
    ):
        frontend = Frontend(FrontendConfig(language=language, stress=stress))  # type: ignore[arg-type]
        # Fresh sentences each time: a cache would make this a measurement of the cache.
        counter = iter(range(10**9))

        def call(frontend: Any = frontend, counter: Any = counter, sentences: Any = sentences) -> None:
            frontend([f"{s} {next(counter)}" for s in sentences * 8])

        found = measure(call, budget=budget)
        rate = f"{len(sentences) * 8 / found.median:.0f} sentences/s"
        what = f"32 {kind} sentences, {language}, stress {stress}"
        results.append(Result(part="text", what=what, time=found, rate=rate))
    return results


def features(budget: float) -> list[Result]:
    from intona.audio import MelSpec, f0_contour, log_mel

    audio, results = _voice(), []
    for what, call in (
        ("mel, 5 s", lambda: log_mel(audio, MelSpec())),
        ("F0, 5 s", lambda: f0_contour(audio)),
    ):
        found = measure(call, budget=budget)
        results.append(
            Result(
                part="audio",
                what=what,
                time=found,
                rtf=found.median / SECONDS,
                rate=f"{SECONDS / found.median:,.0f} × real time",
            )
        )
    return results


def _bf16() -> AbstractContextManager[object]:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def _variants(call: Callable[[], object]) -> dict[str, Callable[[], object]]:
    """The same call in fp32 as torch ships it, with the fast fp32 product, and in bf16."""

    def within(context: Callable[[], AbstractContextManager[object]], precision: str) -> Callable[[], object]:
        def run() -> object:
            torch.set_float32_matmul_precision(precision)
            try:
                with context():
                    return call()
            finally:
                torch.set_float32_matmul_precision("highest")

        return run

    return {
        "fp32": within(nullcontext, "highest"),
        "fp32, fast product": within(nullcontext, "medium"),
        "bf16": within(_bf16, "medium"),
    }


def _compare(
    part: str, what: str, call: Callable[[], object], budget: float, seconds: float | None
) -> list[Result]:
    times = turns(_variants(call), budget=budget)
    results = []
    for name, values in times.items():
        found = timing(values)
        results.append(
            Result(
                part=part,
                what=f"{what}, {name}",
                time=found,
                rtf=found.median / seconds if seconds else None,
                ratio=None if name == "fp32" else paired_ratio(times, "fp32", name),
                ratio_to="fp32",
            )
        )
    return results


def _presets() -> dict[str, Any]:
    from intona.systems.gradtts import stage as gradtts

    presets = {name: gradtts.SIZES[name]() for name in ("small", "paper")}
    return {
        name: dataclasses.replace(p, model=dataclasses.replace(p.model, n_tokens=100))
        for name, p in presets.items()
    }


def _model(config: Any) -> Any:
    """A model whose duration predictor says FRAMES / tokens for every token, whatever its random weights."""
    from intona.systems.gradtts import GradTTS

    torch.manual_seed(0)
    model = GradTTS(config).eval()
    tokens = 2 * TOKENS + 1 if config.add_blank else TOKENS
    torch.nn.init.zeros_(model.duration.out.weight)
    torch.nn.init.constant_(model.duration.out.bias, float(np.log1p(FRAMES / tokens)))
    return model


def networks(budget: float) -> list[Result]:
    """One step of each score network."""
    from intona.systems.gradtts import GradTTS

    results = []
    for name, preset in _presets().items():
        model: GradTTS = _model(preset.model)
        x, mu = torch.randn(1, FRAMES, 80), torch.randn(1, FRAMES, 80)
        states = torch.randn(1, FRAMES, model.encoder.dim)
        mask, t = torch.ones(1, FRAMES, dtype=torch.bool), torch.full((1,), 0.5)
        millions = sum(p.numel() for p in model.score.parameters()) / 1e6

        @torch.inference_mode()
        def step(
            model: Any = model, x: Any = x, mu: Any = mu, t: Any = t, mask: Any = mask, s: Any = states
        ) -> object:
            return model.score(x, mu, t, mask, s, None)

        kind = preset.model.decoder.kind
        results += _compare(
            "acoustic", f"{name}: one step of {kind} ({millions:.1f} M), 5 s", step, budget, None
        )
    return results


def acoustic(budget: float) -> list[Result]:
    """Tokens to mel, with as many steps as `say` takes."""
    from intona.nn.random import ItemRandom
    from intona.systems.gradtts.voice import DEFAULT_STEPS

    results = []
    for name, steps in (("small", DEFAULT_STEPS), ("paper", 10)):
        model = _model(_presets()[name].model)
        tokens = torch.randint(1, 99, (1, TOKENS))

        def call(model: Any = model, tokens: Any = tokens, steps: int = steps) -> object:
            random = ItemRandom(0, 0, ["a"])
            speech = model.synthesize(tokens, torch.tensor([TOKENS]), steps=steps, random=random)
            assert abs(int(speech.lengths[0]) - FRAMES) < 10
            return speech

        results += _compare("acoustic", f"{name}: tokens to mel, {steps} steps, 5 s", call, budget, SECONDS)
    return results


def vocoder(budget: float) -> list[Result]:
    from intona.vocoder import load_vocoder

    decoder = load_vocoder("hifigan")
    mel = torch.randn(1, FRAMES, 80) - 5
    with torch.inference_mode():
        found = measure(lambda: decoder.decode(mel), budget=budget)
    return [Result(part="vocoder", what="HiFi-GAN, 5 s", time=found, rtf=found.median / SECONDS)]


def training(budget: float) -> list[Result]:
    """Forward, backward and optimizer step on random batches of the preset's size."""
    from intona.nn.random import ItemRandom
    from intona.training.optim import OptimConfig, build_optimizer

    results = []
    for name, items in (("small", 2400 // FRAMES), ("paper", 16)):
        preset = _presets()[name]
        torch.manual_seed(0)
        model = _model(preset.model).train()
        optimizer = build_optimizer(OptimConfig(), model)
        batch: dict[str, Any] = {
            "tokens": torch.randint(1, 99, (items, TOKENS)),
            "token_lengths": torch.full((items,), TOKENS),
            "mels": torch.randn(items, FRAMES, 80),
            "mel_lengths": torch.full((items,), FRAMES),
            "speakers": None,
            "durations": None,
        }
        if preset.model.durations == "data":
            batch["durations"] = torch.full((items, TOKENS), FRAMES // TOKENS)
        ids = [str(i) for i in range(items)]

        def update(
            model: Any = model, optimizer: Any = optimizer, batch: Any = batch, ids: Any = ids
        ) -> None:
            optimizer.zero_grad(set_to_none=True)
            # Explicit: a stress model that was loaded before may have switched gradients off for the process.
            with torch.enable_grad():
                total = model.losses(**batch, random=ItemRandom(0, 0, ids)).total
            total.backward()
            optimizer.step()

        found = _compare("training", f"{name}: step of {items} × 5 s", update, 2 * budget, None)
        results += [
            dataclasses.replace(
                r,
                rate=f"{3600 / r.time.median:,.0f} steps/h, {items * SECONDS / r.time.median:.0f} audio s/s",
            )
            for r in found
        ]
    return results


def attention(budget: float) -> list[Result]:
    """Forward and backward in bf16: torch's fused kernel against the product that networks share."""
    from intona.nn.attention import attend

    fused = torch.nn.functional.scaled_dot_product_attention
    results = []
    for rows, n in ((20, 35), (6, 110), (4, 200), (8, 430), (2, 900)):
        torch.manual_seed(0)
        q, k, v = (torch.randn(rows, 4, n, 48).bfloat16().requires_grad_() for _ in range(3))
        mask, weight = torch.ones(rows, 1, 1, n, dtype=torch.bool), torch.randn(rows, 4, n, 48).bfloat16()

        def learn(
            product: Callable[..., torch.Tensor],
            given: tuple[torch.Tensor, ...] = (q, k, v),
            mask: torch.Tensor = mask,
            weight: torch.Tensor = weight,
        ) -> object:
            with torch.enable_grad():
                return torch.autograd.grad(product(*given, mask), given, weight)

        calls = {"fused": functools.partial(learn, fused), "shared": functools.partial(learn, attend)}
        times = turns(calls, budget=budget)
        for name, values in times.items():
            ratio = None if name == "fused" else paired_ratio(times, "fused", name)
            what = f"{rows} × {n} positions, 4 heads of 48, bf16, {name}"
            results.append(
                Result(part="attention", what=what, time=timing(values), ratio=ratio, ratio_to="fused")
            )
    return results


def say(budget: float, voice: str) -> list[Result]:
    """The whole chain in a warm process, and from a cold start by the command line."""
    import intona

    speaker = intona.load(voice)
    audio = speaker.say(TEN_SECONDS)
    warm = measure(lambda: speaker.say(TEN_SECONDS), budget=2 * budget)
    results = [
        Result(
            part="say",
            what=f"warm, {audio.duration:.1f} s of speech",
            time=warm,
            rtf=warm.median / audio.duration,
        )
    ]
    times = []
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "a.wav"
        command = [sys.executable, "-m", "intona", "say", TEN_SECONDS, "--model", voice, "-o", str(target)]
        for _ in range(3):
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            times.append(time.perf_counter() - start)
            if done.returncode:
                raise NotThere(f"`intona say` failed: {done.stderr.strip()[-200:]}")
        from intona.audio import read_audio

        seconds = read_audio(target).duration
    cold = timing(times)
    results.append(
        Result(
            part="say",
            what=f"cold start to wav, {seconds:.1f} s of speech",
            time=cold,
            rtf=cold.median / seconds,
        )
    )
    return results


def start(budget: float) -> list[Result]:
    """`intona --help`, and what a bare import costs."""
    results = []
    for what, command in (
        ("python -m intona --help", [sys.executable, "-m", "intona", "--help"]),
        ("import intona", [sys.executable, "-c", "import intona"]),
    ):

        def call(command: list[str] = command) -> None:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NotThere(done.stderr.strip()[-200:])

        results.append(Result(part="start", what=what, time=measure(call, budget=budget, most=7)))
    return results


def prepare(budget: float) -> list[Result]:
    """`intona prepare csv` on one worker: a cold start, and what each further clip takes.

    The latter is the difference of a long and a short run, pair by pair, over clips of 8 s made here.
    """
    import soundfile

    short, long, seconds = 20, 180, 8.0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rng = np.random.default_rng(0)
        lines = []
        for i in range(long):
            audio = _voice(seconds)
            noise = 1e-3 * rng.standard_normal(len(audio.samples))
            soundfile.write(root / f"u{i:03}.wav", audio.samples + noise, 22_050)
            lines.append(f"u{i:03}.wav|{SENTENCES[i % 4]} {SENTENCES[(i + 1) % 4]} {i}|one")
        times: dict[int, list[float]] = {short: [], long: []}
        for turn in range(3):
            for count in (short, long):
                table = root / f"list{count}.csv"
                table.write_text("\n".join(lines[:count]) + "\n", encoding="utf-8")
                out = root / f"out{turn}-{count}"
                command = [sys.executable, "-m", "intona", "prepare", "csv", str(table), str(out)]
                begin = time.perf_counter()
                done = subprocess.run(
                    [*command, "--language", "ru", "--workers", "1"],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                times[count].append(time.perf_counter() - begin)
                if done.returncode:
                    raise NotThere(f"`intona prepare csv` failed: {done.stderr.strip()[-200:]}")
    each = [(b - a) / (long - short) for a, b in zip(times[short], times[long], strict=True)]
    rows = [
        (f"{short} clips of 8 s, one worker, cold start included", timing(times[short]), short * seconds),
        ("each further clip of 8 s", timing(each), seconds),
    ]
    return [
        Result(
            part="prepare",
            what=what,
            time=found,
            rtf=found.median / audio,
            rate=f"{audio / found.median:,.0f} × real time",
        )
        for what, found, audio in rows
    ]
