"""`intona study prosody`: the curriculum of the text encoder, one stage after another."""

from intona.studies.engine.entry import StudyEntry

STUDY = StudyEntry(
    plan="intona.studies.prosody.plan",
    page="intona.studies.prosody.page",
    what="what each stage of the text encoder's curriculum does to its space and to speech",
    options=("texts",),
    parts={
        "screening": StudyEntry(
            plan="intona.studies.prosody.screening",
            page="intona.studies.prosody.screening_page",
            what="what frozen states of the text encoders predict of prosody, without a voice",
            options=("texts",),
        )
    },
)
