"""`intona study restyle`: a style for a frozen voice."""

from intona.studies.engine.entry import StudyEntry

STUDY = StudyEntry(
    plan="intona.studies.restyle.plan",
    page="intona.studies.restyle.page",
    what="what restyling the latents of a frozen VITS gains in style and loses in words",
    options=("vits",),
    parts={
        "recordings": StudyEntry(
            plan="intona.studies.restyle.recordings",
            page="intona.studies.restyle.recordings_page",
            what="models towards recordings, through a decoder tuned to them, and the swap of readers",
            options=("vits", "readers"),
        )
    },
)
