"""`intona study ditto`: latent diffusion, its encoders and latents."""

from intona.studies.engine.entry import StudyEntry

STUDY = StudyEntry(
    plan="intona.studies.ditto.plan",
    page="intona.studies.ditto.page",
    what="latent diffusion: encoders, latents, steps, guidance, lengths, compared with Grad-TTS",
    options=("texts", "voice_minutes"),
)
