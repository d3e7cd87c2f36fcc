"""`intona study restyle`: a style for a frozen voice."""

from intona.studies.engine.entry import StudyEntry

STUDY = StudyEntry(
    plan="intona.studies.restyle.plan",
    page="intona.studies.restyle.page",
    what="what restyling the latents of a frozen VITS gains in style and loses in words",
    options=("vits",),
)
