"""`intona study meld`: encoder and language model trained together or apart."""

from intona.studies.engine.entry import StudyEntry

STUDY = StudyEntry(
    plan="intona.studies.meld.plan",
    page="intona.studies.meld.page",
    what="whether encoder and language model trained together speak and listen better",
)
