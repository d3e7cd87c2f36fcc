"""Which word of a Russian sentence bears its nucleus.

In a yes-no question (Bryzgunova's IK-3) the nucleus is on the word that is asked about. Without a mark in the
text this is taken to be

1. the word before the particle "ли" ("Можно ли войти?");
2. the finite verb, predicative or short adjective of the main clause ("Ты видел Ивана?", "Он готов?");
3. the last content word of the sentence ("Это твой дом?").

Clauses that begin with a subordinate conjunction or a question word are main clauses only where there is no
other. A wh-question (IK-2) has its nucleus on the question word.
"""

from __future__ import annotations

from collections.abc import Sequence

from intona.text.languages.russian.letters import morphology
from intona.text.symbols import words

QUESTION_WORDS = words(
    """
    кто кого кому кем ком что чего чему чем чём какой какая какое какие какого какому каким каком какую
    каких какими каков какова каково каковы который которая которое которые которого которому которым котором
    которую которых которыми чей чья чьё чье чьи чьего чьему чьим чьём чьем чьей чью чьих чьими где куда
    откуда когда почему зачем отчего как сколько скольких скольким насколько доколе
    """
)
FUNCTION_WORDS = words(
    """
    в во на над надо под подо к ко с со у о об обо от ото из изо за до для без безо при про через сквозь между
    по перед после около возле среди из-за из-под
    и а но да или либо ни то же ж ли ль бы б не ну вот вон ведь уж уже ещё еще только лишь даже разве неужели
    так что чтобы если как когда хотя пока потому поэтому тоже также там тут
    я меня мне мной мною ты тебя тебе тобой тобою он его него ему нему им ним нём нем она её ее неё нее ей ней
    оно мы нас нам нами вы вас вам вами они их них ими ними себя себе собой мой моя моё мое мои твой твоя твоё
    твое твои наш наша наше наши ваш ваша ваше ваши свой своя своё свое свои это этот эта эти этого этому этой
    этим этих эту тот та те того тому той тем тех ту есть был была было были
    """
)
SUBORDINATE = QUESTION_WORDS | words("если хотя чтобы пока раз потому поскольку будто словно едва")
PREDICATES = frozenset(("VERB", "PRED", "ADJS", "PRTS"))  # parts of speech of pymorphy3


def focus(clauses: Sequence[Sequence[str]]) -> int | None:
    """See `Language.question_focus`."""
    starts = [sum(map(len, clauses[:i])) for i in range(len(clauses))]
    for start, clause in zip(starts, clauses, strict=True):
        for i, word in enumerate(clause[1:], 1):
            if word in ("ли", "ль"):
                return start + i - 1
    order = list(zip(starts, clauses, strict=True))[::-1]
    main = [c for c in order if c[1][0] not in SUBORDINATE]
    for start, clause in main or order:
        for i, word in enumerate(clause):
            if _is_predicate(word):
                return start + i
    return None


def _is_predicate(word: str) -> bool:
    return word not in FUNCTION_WORDS and morphology().parse(word)[0].tag.POS in PREDICATES
