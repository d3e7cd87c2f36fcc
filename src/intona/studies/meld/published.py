"""What the paper of system meld says, its claims as a study can test them, and the rule for its main one."""

from __future__ import annotations

from collections.abc import Mapping

from intona.studies.engine.claims import Claim

# arXiv 2605.29859, LibriSpeech test-clean. Speaking: tables 2, 3, 5 and 7 (WER of Whisper; SIM of another
# embedder than ours). `joint` is the model that does both tasks.
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
# Minutes spoken where the recordings have 131.8.
PUBLISHED_MINUTES = {"recording": "131.8", "zero-code": "> 200", "no-penalty": "6 more than with it"}

SEPARATE = ("codes", "codec")  # encoders made apart from the language model
CLAIMS = (
    *(
        Claim(said=said, measure=measure, arm="joint", other=other, sign=-1)
        for measure, said in (
            ("long_silence", "joint training reduces prolonged silence"),
            ("omission", "joint training reduces omissions"),
        )
        for other in SEPARATE
    ),
    Claim(
        said="a joint encoder speaks more intelligibly than codes",
        measure="wer",
        arm="joint",
        other="codes",
        sign=-1,
        published=".022 / .048 (speaks only)",
    ),
    Claim(
        said="and than no latent",
        measure="wer",
        arm="joint",
        other="mel-lm",
        sign=-1,
        published=".022 / .042 (speaks only)",
    ),
    Claim(
        said="and is nearer to the speaker",
        measure="sim_o",
        arm="joint",
        other="codes",
        sign=1,
        published="– / .864 (speaks only; so does the paper's .872)",
    ),
    Claim(
        said="without the code's embedding speech breaks down",
        measure="wer",
        arm="zero-code",
        other="joint",
        sign=1,
        published=".517 / .019 (both speak only)",
    ),
    Claim(
        said="without the repetition penalty more words are wrong",
        measure="wer",
        arm="no-penalty",
        other="joint",
        sign=1,
        published=".026 / .019 (both speak only)",
    ),
    Claim(
        said="and speech lasts longer",
        measure="length",
        arm="no-penalty",
        other="joint",
        sign=1,
        published="+ 6 min of 132",
    ),
    Claim(
        said="a joint encoder listens better than codes",
        measure="stt_wer",
        arm="joint",
        other="codes",
        sign=-1,
        published=".049 / .064 (listens only)",
    ),
)

UNDERSTOOD = 0.5  # CER
HEADLINE = "Joint training reduces prolonged silence and omissions"
HEADLINE_RULE = (
    "Supported: both measures hold against each separately made encoder of the study. Partly: at least one "
    "holds and none is the reverse. Contradicted: one is the reverse and none holds. Mixed: some hold and "
    "some are the reverse. Else open. Not judged while the joint model's CER is above "
    f"{UNDERSTOOD:g}: where hardly a word is heard, none can be said to be left out."
)


def headline(verdicts: Mapping[tuple[str, str], str], cer: float | None) -> str:
    """The word of HEADLINE_RULE.

    Args:
        verdicts: (measure, other arm) -> what `study.claims.decide` says of the claim.
        cer: of the joint model's speech over all its seeds, failures counted; None = not measured.
    """
    wanted = [(m, other) for m in ("long_silence", "omission") for other in SEPARATE]
    found = [v for key in wanted if (v := verdicts.get(key, "not measured")) != "not measured"]
    if cer is None or not found:
        return "not measured"
    if cer > UNDERSTOOD:
        return f"not judged: the joint model's CER is {cer:.2f}"
    holds, reverse = found.count("holds"), found.count("the reverse")
    if holds == len(found):
        return "supported"
    if holds and reverse:
        return "mixed"
    return "partly" if holds else "contradicted" if reverse else "open"
