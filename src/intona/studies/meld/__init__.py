"""`intona study meld`: encoder and language model trained together or apart."""

from intona.studies.engine.entry import StudyEntry

STUDY = StudyEntry(
    plan="intona.studies.meld.plan",
    page="intona.studies.meld.page",
    what="whether encoder and language model trained together speak and listen better",
    parts={
        "silence": StudyEntry(
            plan="intona.studies.meld.silence_plan",
            page="intona.studies.meld.silence_page",
            what="which models fall silent, end early or leave out words on texts that provoke it",
        )
    },
)
