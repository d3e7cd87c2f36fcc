"""How many network calls a solver needs: distance to the converged solution, from the same noise.

    python benchmarks/solvers.py --data data/ru --voice ru --limit 10

For each test utterance the probability-flow ODE is solved with many DPM-Solver++ steps (the reference) and
with each candidate. Prints a table of the mean absolute difference of the log mels (natural-log units) with
a bootstrap interval over utterances, and the time of a call. Each utterance is spoken by its own reader.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch

from intona.data.intonation import Intonation, intonation_of
from intona.data.pieces import utterance_of
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.evaluation.stats import ratio_interval
from intona.nn.precision import set_fast_matmul
from intona.nn.random import ItemRandom
from intona.systems.gradtts import voice as gradtts

CANDIDATES = [("euler", n) for n in (10, 20, 50)] + [("dpm2m", n) for n in (4, 6, 8, 10, 15, 20)]
REFERENCE = ("dpm2m", 200)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="prepared corpus")
    parser.add_argument("--voice", default="ru")
    parser.add_argument("--limit", type=int, default=10, help="utterances of the test split")
    parser.add_argument("--temperature", type=float, default=1.0)
    arguments = parser.parse_args()
    try:
        print(table(arguments.data, arguments.voice, arguments.limit, arguments.temperature))
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


def table(data: str, name: str, limit: int, temperature: float) -> str:
    prepared, voice = Prepared.open(data), gradtts.load(name)
    model = voice.model.eval()
    set_fast_matmul()
    errors: dict[tuple[str, int], list[float]] = {c: [] for c in CANDIDATES}
    seconds: dict[tuple[str, int], list[float]] = {c: [] for c in CANDIDATES}
    for item in prepared.items("test")[:limit]:
        ids = torch.tensor([list(voice.tokenizer.encode(item.phonemes).ids)])
        reader = prepared.speakers[item.speaker]
        speaker = voice.speaker_id(reader) if len(voice.speakers) > 1 else 0
        utterance = utterance_of(item)
        intonation = intonation_of([utterance], [voice.language_of(utterance)]) if voice.steerable else None

        def mel(
            solver: str,
            steps: int,
            ids: torch.Tensor = ids,
            speaker: int = speaker,
            intonation: Intonation | None = intonation,
            key: str = item.id,
        ) -> torch.Tensor:
            return model.synthesize(
                ids,
                torch.tensor([ids.shape[1]]),
                speakers=torch.tensor([speaker]),
                intonation=intonation,
                solver=solver,
                steps=steps,
                temperature=temperature,
                random=ItemRandom(0, 0, [key]),
            ).mel

        reference = mel(*REFERENCE)
        for candidate in CANDIDATES:
            start = time.perf_counter()
            got = mel(*candidate)
            seconds[candidate].append(time.perf_counter() - start)
            errors[candidate].append(float((got - reference).abs().mean()))
    lines = [
        f"N = {len(errors[CANDIDATES[0]])} test utterances, reference {REFERENCE[0]}, {REFERENCE[1]} steps",
        "",
        "| solver | steps | mean abs log-mel difference [95 %] | median s |",
        "|---|---|---|---|",
    ]
    for (solver, steps), e in errors.items():
        estimate = ratio_interval(e)
        low, high = estimate.low, estimate.high
        took = np.median(seconds[solver, steps])
        lines.append(f"| {solver} | {steps} | {np.mean(e):.4f} [{low:.4f}, {high:.4f}] | {took:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
