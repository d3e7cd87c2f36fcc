"""Words of English that decide where the nucleus of a clause is.

A yes-no question has it on the last content word, as a statement has; pitch rises from there to the end
(Wells 2006, English Intonation, chapters 2 and 3).
"""

from __future__ import annotations

from intona.text.symbols import words

QUESTION_WORDS = words(
    """
    what who whom whose which when where why how whatever whoever what's who's where's when's why's how's
    what're who're where're what'll who'll what'd who'd where'd how'd why'd how're
    """
)
FUNCTION_WORDS = words(
    """
    a an the of to in on at by for from with without about into onto over under after before between through
    during against as than up down off out and or but nor so if because while although though that then
    i me my mine you your yours he him his she her hers it its we us our ours they them their theirs myself
    yourself himself herself itself ourselves themselves this these those there
    am is are was were be been being 'm 're 's do does did has have had will would shall should can could may
    might must not n't please well oh just too either anyway now
    i'm you're he's she's it's we're they're i've you've we've they've i'll you'll he'll she'll we'll they'll
    """
)
