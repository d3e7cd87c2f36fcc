"""Texts of the comparison: plain sentences, of no corpus that a shipped voice was trained on."""

from __future__ import annotations

SHORT = {"ru": "Привет, мир!", "en": "Hello, world!"}
SENTENCES = {
    "ru": (
        "Вчера вечером мы долго гуляли по набережной и смотрели на огни.",
        "Бабушка испекла пирог с яблоками и позвала соседей на чай.",
        "Поезд опоздал на полчаса, поэтому на вокзале было много народу.",
        "В нашей библиотеке открылась выставка старых географических карт.",
        "Если завтра не будет дождя, мы поедем на дачу копать картошку.",
        "Учительница попросила детей нарисовать свой любимый праздник.",
        "Врач посоветовал ему больше ходить пешком и раньше ложиться спать.",
        "На столе лежали ключи, газета и недописанное письмо.",
        "Кошка спрыгнула с подоконника и тихо вышла из комнаты.",
        "Автобус медленно поднимался в гору по узкой дороге.",
        "Мой брат работает инженером на большом заводе.",
        "Осенью в парке пахнет мокрыми листьями и дымом.",
        "Они купили билеты заранее и заняли места у окна.",
        "Хозяин магазина знал по имени каждого покупателя.",
        "После обеда ребята собрались во дворе играть в мяч.",
        "Музыканты настроили инструменты, и в зале стало тихо.",
        "Из-за сильного ветра пришлось закрыть все окна.",
        "Старый сад за домом давно зарос крапивой и малиной.",
        "Когда зазвонил телефон, она уже надевала пальто.",
        "Рыбаки вернулись на берег только поздно ночью.",
    ),
    "en": (
        "Yesterday evening we walked along the river and watched the lights.",
        "My grandmother baked an apple pie and invited the neighbours for tea.",
        "The train was half an hour late, so the station was full of people.",
        "Our library has opened an exhibition of old maps.",
        "If it does not rain tomorrow, we will drive out to the lake.",
        "The teacher asked the children to draw their favourite holiday.",
        "The doctor told him to walk more and to go to bed earlier.",
        "There were some keys, a newspaper and a letter on the table.",
        "The cat jumped off the windowsill and quietly left the room.",
        "The bus climbed slowly up the narrow mountain road.",
        "My brother works as an engineer at a large factory.",
        "In autumn the park smells of wet leaves and smoke.",
        "They bought the tickets early and took the seats by the window.",
        "The owner of the shop knew every customer by name.",
        "After lunch the boys met in the yard to play football.",
        "The musicians tuned their instruments and the hall became silent.",
        "The wind was so strong that we had to close all the windows.",
        "The old garden behind the house has been empty for years.",
        "When the telephone rang, she was already putting on her coat.",
        "The fishermen came back to the shore late at night.",
    ),
}


def timed(language: str) -> dict[str, str]:
    """The texts that are timed: a greeting, about 6 s and about 60 s of speech."""
    sentences = SENTENCES[language]
    return {"short": SHORT[language], "6 s": " ".join(sentences[:2]), "60 s": " ".join(sentences[:17])}
