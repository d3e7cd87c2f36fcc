"""The paper of system meld: its figures, its claims in testable form, and the rule for its main claim."""

from __future__ import annotations

from collections.abc import Mapping

from intona.studies.engine.claims import Claim

# arXiv 2605.29859, LibriSpeech test-clean. Speaking: tables 2, 3, 5 and 7 (WER of Whisper; SIM of another
# embedder than ours). `joint` is the model of both tasks.
PUBLISHED_SPEECH = {
    "joint": {"wer": ".022"},
    "speaks only": {"wer": ".019", "sim_o": ".872"},
    "codes": {"wer": ".048", "sim_o": ".864"},
    "mel-lm": {"wer": ".042", "sim_o": ".825"},
    "zero-code": {"wer": ".517", "sim_o": ".520"},
    "no-penalty": {"wer": ".026"},
}
# Listening: table 6 and 7, WER of test-clean / test-other.
PUBLISHED_STT = {"joint": ".049 / .121", "listens only": ".042 / .100", "codes": ".064 / .164"}
# Minutes of speech; the recordings have 131.8.
PUBLISHED_MINUTES = {"recording": "131.8", "zero-code": "> 200", "no-penalty": "6 more than with it"}

SEPARATE = ("codes", "codec")  # encoders trained separately from the language model
CLAIMS = (
    *(
        Claim(text=text, measure=measure, arm="joint", other=other, sign=-1)
        for measure, text in (
            ("long_silence", "joint training reduces prolonged silence"),
            ("omission", "joint training reduces omissions"),
        )
        for other in (*SEPARATE, "mel-lm")
    ),
    Claim(
        text="a joint encoder speaks more intelligibly than codes",
        measure="wer",
        arm="joint",
        other="codes",
        sign=-1,
        published=".022 / .048 (speaks only)",
        effect=-0.026,
    ),
    Claim(
        text="and than no latent",
        measure="wer",
        arm="joint",
        other="mel-lm",
        sign=-1,
        published=".022 / .042 (speaks only)",
        effect=-0.020,
    ),
    Claim(
        text="and is nearer to the speaker",
        measure="sim_o",
        arm="joint",
        other="codes",
        sign=1,
        published=".872 / .864 (both speak only)",
        effect=0.008,
    ),
    Claim(
        text="without the code's embedding speech breaks down",
        measure="wer",
        arm="zero-code",
        other="joint",
        sign=1,
        published=".517 / .019 (both speak only)",
        effect=0.498,
    ),
    Claim(
        text="without the repetition penalty more words are wrong",
        measure="wer",
        arm="no-penalty",
        other="joint",
        sign=1,
        published=".026 / .019 (both speak only)",
        effect=0.007,
        paired=True,  # one model, spoken twice
    ),
    Claim(
        text="and speech lasts longer",
        measure="length",
        arm="no-penalty",
        other="joint",
        sign=1,
        published="+ 6 min of 132",
        effect=0.046,
        paired=True,
    ),
    Claim(
        text="a joint encoder listens better than codes",
        measure="stt_wer",
        arm="joint",
        other="codes",
        sign=-1,
        published=".049 / .064 (listens only)",
        effect=-0.015,
    ),
)

UNDERSTOOD = 0.5  # CER
HEADLINE = "Joint training reduces prolonged silence and omissions"
HEADLINE_RULE = (
    "Supported: the claims about both measures hold against each separately trained encoder. Partly: at "
    "least one claim holds and none is reversed. Contradicted: at least one is reversed and none holds. "
    "Mixed: some hold and some are reversed. Otherwise open. Not judged while the joint model's CER is above "
    f"{UNDERSTOOD:g}, because omissions mean little where hardly a word is intelligible."
)


def headline(verdicts: Mapping[tuple[str, str], str], cer: float | None) -> str:
    """The verdict by HEADLINE_RULE.

    Args:
        verdicts: (measure, other arm) -> the verdict of `claims.decide`.
        cer: of the joint model's speech over all its seeds, with failures counted; None = not measured.
    """
    keys = [(m, other) for m in ("long_silence", "omission") for other in SEPARATE]
    measured = [v for key in keys if (v := verdicts.get(key, "not measured")) != "not measured"]
    if cer is None or not measured:
        return "not measured"
    if cer > UNDERSTOOD:
        return f"not judged: the joint model's CER is {cer:.2f}"
    holds, reversed_ = measured.count("holds"), measured.count("reversed")
    if holds == len(measured):
        return "supported"
    if holds and reversed_:
        return "mixed"
    return "partly" if holds else "contradicted" if reversed_ else "open"
