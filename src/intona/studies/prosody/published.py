"""The paper of the prosody system: its figures, and its claims in a form that a study can test."""

from __future__ import annotations

from intona.studies.engine.claims import Claim

# arXiv 2604.01247: encoder -> (R@1-diff, R@1-sim), and the figures of its Grad-TTS voices.
PUBLISHED_SPACE = {
    "2": (0.933, 0.690),
    "2-softmax": (0.926, 0.650),
    "2-no-adaln": (0.871, 0.529),
    "1+2": (0.926, 0.746),
    "1+2+3": (0.893, 0.770),
}
PUBLISHED_SPEECH = {
    "1+2": {"wer": "0.176", "cer": "0.067", "MOS": "1.980 ± 0.172", "IntMOS": "2.185 ± 0.255"},
    "1+2+3": {"wer": "0.429", "MOS": "1.540"},
}


# Effects are differences of the figures above; margins are half of them (`Claim`). R@1 depends on the
# gallery, and the paper's is not known: a size carries over only roughly, a sign does.
CLAIMS = (
    Claim(text="pretraining (1+2) helps speech", measure="wer", arm="1+2", other="random", sign=-1),
    Claim(text="1+2 speaks better than 2 alone", measure="wer", arm="1+2", other="2", sign=-1),
    Claim(
        text="stage 3 harms speech",
        measure="wer",
        arm="1+2+3",
        other="1+2",
        sign=1,
        published=".429 / .176",
        effect=0.253,
        paired=True,
    ),
    Claim(
        text="stage 1 before 2 raises R@1-sim",
        measure="R@1-sim",
        arm="1+2",
        other="2",
        sign=1,
        published=".746 / .690",
        effect=0.056,
    ),
    Claim(
        text="stage 3 raises R@1-sim",
        measure="R@1-sim",
        arm="1+2+3",
        other="1+2",
        sign=1,
        published=".770 / .746",
        effect=0.024,
        paired=True,
    ),
    Claim(
        text="stage 3 lowers R@1-diff",
        measure="R@1-diff",
        arm="1+2+3",
        other="1+2",
        sign=-1,
        published=".893 / .926",
        effect=-0.033,
        paired=True,
    ),
    Claim(
        text="SigLIP beats softmax in R@1-sim",
        measure="R@1-sim",
        arm="2",
        other="2-softmax",
        sign=1,
        published=".690 / .650",
        effect=0.040,
    ),
    Claim(
        text="SigLIP beats softmax in R@1-diff",
        measure="R@1-diff",
        arm="2",
        other="2-softmax",
        sign=1,
        published=".933 / .926",
        effect=0.007,
    ),
    Claim(
        text="AdaLN with a speaker raises R@1-sim",
        measure="R@1-sim",
        arm="2",
        other="2-no-adaln",
        sign=1,
        published=".690 / .529",
        effect=0.161,
    ),
    Claim(
        text="AdaLN with a speaker raises R@1-diff",
        measure="R@1-diff",
        arm="2",
        other="2-no-adaln",
        sign=1,
        published=".933 / .871",
        effect=0.062,
    ),
    Claim(
        text="ours: it is the speaker, not the blocks of AdaLN, that raises R@1-sim",
        measure="R@1-sim",
        arm="2",
        other="2-nobody",
        sign=1,
    ),
)
