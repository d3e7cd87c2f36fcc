"""The studies there are: a module that declares the plan and one that writes the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One study.

    Args:
        plan: module with `declare`, SIZES, ARMS, DEFAULT_ARMS and REPEATED. page: module with `write`.
        what: its question, in a line of the help.
        options: those of the command line that not every study has; `declare` gets them as keywords, None
            where they are not given.
    """

    plan: str
    page: str
    what: str
    options: tuple[str, ...] = ()


STUDIES = {
    "prosody": Entry(
        plan="intona.systems.prosody.study",
        page="intona.systems.prosody.study_report",
        what="what each stage of the text encoder's curriculum does to its space and to speech",
        options=("texts",),
    ),
    "ditto": Entry(
        plan="intona.systems.prosody.ditto_study",
        page="intona.systems.prosody.ditto_study_report",
        what="latent diffusion: encoders, latents, steps, guidance, lengths, beside Grad-TTS",
        options=("texts", "voice_minutes"),
    ),
    "meld": Entry(
        plan="intona.systems.meld.study",
        page="intona.systems.meld.study_report",
        what="whether encoder and language model trained together speak and listen better",
    ),
    "restyle": Entry(
        plan="intona.systems.restyle.study",
        page="intona.systems.restyle.study_report",
        what="what restyling the latents of a frozen VITS gains in style and loses in words",
        options=("vits",),
    ),
}
