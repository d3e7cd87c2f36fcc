"""A subset of SSML 1.1 (https://www.w3.org/TR/speech-synthesis11/) to marked texts; docs/guide/ssml.md.

The document is parsed event by event by defusedxml: a DTD, an entity or an external reference ends it, and so
do too many elements or levels. What has no effect is named in one warning, and its text is spoken.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intona.errors import Unspeakable, UserError
from intona.text import inline
from intona.text.controls import NEUTRAL, Span, TextPoint, WordControl
from intona.text.interpret import KINDS, interpret
from intona.text.languages import by_script
from intona.text.passages import BOUNDARY, Draft, OpenControl, Passage, finished
from intona.text.prosody_values import PAUSES, energy_of, pause_of, pitch_of, range_of, rate_of

if TYPE_CHECKING:
    from xml.sax.xmlreader import Locator

MAX_CHARACTERS = 100_000
MAX_ELEMENTS, MAX_DEPTH = 10_000, 50
MAX_IGNORED = 8  # names in a warning
XML_LANG = "xml:lang"
_SPEAK = re.compile(r"\s*(?:<\?xml\b.*?\?>\s*)?(?:<!--.*?-->\s*)*<speak[\s>/]", re.DOTALL)
_SPACE = re.compile(r"\s+")
_UNSPOKEN = frozenset(("desc", "lexicon", "meta", "metadata"))  # elements whose content is not for speech


def looks_like_ssml(text: str) -> bool:
    """Whether a text begins with `<speak>`."""
    return "<speak" in text[:10_000] and _SPEAK.match(text[:10_000]) is not None


def parse(text: str, *, language: str | None = None, phonemes: bool = True) -> list[Passage]:
    """The passages of a document, in order, without those that have no text.

    Args:
        language: of the text where the document names none, for `<say-as>`; recognized by the script if
            None.
        phonemes: False speaks the text of `<phoneme>`, for a voice that reads letters.

    Raises:
        UserError: not well-formed, not `<speak>`, a DTD, too large or too deep. `Unspeakable`: no text.
    """
    from xml.sax import SAXException, SAXParseException
    from xml.sax.xmlreader import InputSource

    from defusedxml import DefusedXmlException
    from defusedxml.expatreader import DefusedExpatParser

    if len(text) > MAX_CHARACTERS:
        raise Unspeakable(f"{len(text)} characters of SSML, more than {MAX_CHARACTERS}", hint="split it")
    if text.count("<") > 3 * MAX_ELEMENTS:
        raise Unspeakable(f"more than {MAX_ELEMENTS} elements", where="SSML", hint="split the document")
    reader = _Reader(language or by_script(text), phonemes)
    parser = DefusedExpatParser(forbid_dtd=True)
    parser.setContentHandler(_handler(reader))
    source = InputSource("ssml")
    source.setCharacterStream(io.StringIO(text))
    try:
        parser.parse(source)
    except SAXParseException as e:
        place = f"SSML, line {e.getLineNumber()}, column {(e.getColumnNumber() or 0) + 1}"
        raise UserError(f"malformed XML: {e.getMessage()}", where=place) from None
    except (SAXException, DefusedXmlException):
        raise UserError(
            "a DTD or an entity", where="SSML", hint="write the characters themselves, or &#233;"
        ) from None
    except (LookupError, ValueError):
        raise UserError("characters or an encoding that XML does not have", where="SSML") from None
    return reader.passages()


@dataclass
class _Element:
    """An open element.

    Args:
        close: called at its end. capture: collects its text, which is not spoken as it is.
        previous: language and speaker outside.
    """

    name: str
    close: Callable[[], None] | None = None
    capture: list[str] | None = None
    previous: tuple[str | None, str | None] | None = None


class _Reader:
    """Turns the events of a parser into passages."""

    def __init__(self, language: str, phonemes: bool) -> None:
        self._default, self._phonemes = language, phonemes
        self._locator: Locator | None = None
        self._elements: list[_Element] = []
        self._controls: list[OpenControl] = []
        self._ignored: dict[str, None] = {}
        self._count = 0
        self._draft = Draft(None, None)
        self._done: list[Draft] = []

    def passages(self) -> list[Passage]:
        out = finished([*self._done, self._draft])
        if self._ignored:
            names = list(self._ignored)
            more = f" and {len(names) - MAX_IGNORED} more" if len(names) > MAX_IGNORED else ""
            warnings.warn(f"SSML without effect: {', '.join(names[:MAX_IGNORED])}{more}", stacklevel=4)
        return out

    # --- events ---------------------------------------------------------------------------------------

    def locate(self, locator: Locator) -> None:
        self._locator = locator

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        name = name.rpartition(":")[2]
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise self._error(f"more than {MAX_ELEMENTS} elements", hint="split the document")
        if len(self._elements) >= MAX_DEPTH:
            raise self._error(f"elements inside one another, more than {MAX_DEPTH} levels")
        if not self._elements and name != "speak":
            raise self._error(f"<{name[:40]}> at the top", hint="an SSML document is <speak>…</speak>")
        element = _Element(name)
        self._elements.append(element)
        if self._capturing(below=element):
            return
        if language := attributes.get(XML_LANG, "").strip():
            self._switch(element, language=language)
        if name in _UNSPOKEN:
            self._ignore(f"<{name}>")
            element.capture = []
            return
        if (handle := _HANDLERS.get(name)) is not None:
            handle(self, element, attributes)
        else:
            self._ignore(f"<{name[:40]}>")

    def end(self) -> None:
        element = self._elements.pop()
        if element.close is not None:
            element.close()
        if element.previous is not None:
            self._enter(*element.previous)

    def text(self, content: str) -> None:
        for element in self._elements:
            if element.capture is not None:
                element.capture.append(content)
                return
        self._draft.append(_SPACE.sub(" ", content))

    # --- elements -------------------------------------------------------------------------------------

    def _speak(self, element: _Element, attributes: Mapping[str, str]) -> None:
        if len(self._elements) > 1:
            self._ignore("<speak> inside <speak>")

    def _block(self, element: _Element, attributes: Mapping[str, str]) -> None:
        """`<p>` and `<s>`: a sentence ends before and after."""
        self._boundary()
        element.close = self._boundary

    def _break(self, element: _Element, attributes: Mapping[str, str]) -> None:
        seconds = PAUSES["medium"]
        if (strength := attributes.get("strength")) is not None:
            seconds = self._value("break", "strength", strength, PAUSES.get, seconds)
        if (time := attributes.get("time")) is not None:
            seconds = self._value("break", "time", time, pause_of, seconds)
        self._point(TextPoint(at=0, pause=seconds))

    def _mark(self, element: _Element, attributes: Mapping[str, str]) -> None:
        if name := attributes.get("name", "").strip():
            self._point(TextPoint(at=0, mark=name))
        else:
            self._ignore("mark without a name")

    def _prosody(self, element: _Element, attributes: Mapping[str, str]) -> None:
        values: dict[str, Any] = {}
        for attribute, (name, read) in _PROSODY.items():
            if (written := attributes.get(attribute)) is not None:
                value = self._value("prosody", attribute, written, read, None)
                values |= {} if value is None else {name: value}
        for attribute in attributes:
            if attribute not in _PROSODY and attribute != XML_LANG:
                self._ignore(f"prosody {attribute[:40]}")
        self._control(element, WordControl(**values))

    def _emphasis(self, element: _Element, attributes: Mapping[str, str]) -> None:
        level = attributes.get("level", "moderate").strip()
        if level in ("strong", "moderate", "reduced"):
            control = WordControl(emphasis=level)  # type: ignore[arg-type]
            self._control(element, control, nucleus=level != "reduced")
        elif level != "none":
            self._ignore(f'emphasis level="{level[:40]}"')

    def _phoneme(self, element: _Element, attributes: Mapping[str, str]) -> None:
        phones = " ".join(attributes.get("ph", "").split())
        alphabet = attributes.get("alphabet", "ipa").strip().lower()
        if not self._phonemes:
            self._ignore("<phoneme>, for this voice reads letters")
        elif alphabet != "ipa":
            self._ignore(f'phoneme alphabet="{alphabet[:40]}"')
        elif not phones.strip("|ˈˌ "):
            self._ignore("phoneme without ph")
        elif inline.OPEN in phones or inline.CLOSE in phones:
            self._ignore(f'phoneme ph="{phones[:40]}"')
        else:
            self._instead(element, lambda _: f"{inline.OPEN}{phones}{inline.CLOSE}")

    def _sub(self, element: _Element, attributes: Mapping[str, str]) -> None:
        alias = attributes.get("alias", "").strip()
        if alias:
            self._instead(element, lambda _: _SPACE.sub(" ", alias))
        else:
            self._ignore("sub without an alias")

    def _say_as(self, element: _Element, attributes: Mapping[str, str]) -> None:
        kind = attributes.get("interpret-as", "").strip().lower()
        format = attributes.get("format", "").strip()
        if kind not in KINDS:
            self._ignore(f'say-as interpret-as="{kind[:40]}"')
            return

        def read(text: str) -> str:
            spoken = interpret(text, kind, self._draft.language or self._default, format=format)
            if spoken is None:
                self._ignore(f'say-as interpret-as="{kind}" of "{text.strip()[:40]}"')
            return text if spoken is None else spoken

        self._instead(element, read)

    def _voice(self, element: _Element, attributes: Mapping[str, str]) -> None:
        for attribute in attributes:
            if attribute not in ("name", XML_LANG):
                self._ignore(f"voice {attribute[:40]}")
        if name := attributes.get("name", "").strip():
            self._switch(element, speaker=name)

    def _plain(self, element: _Element, attributes: Mapping[str, str]) -> None:
        """`<lang>`, whose language is an attribute of every element, and `<w>`, `<token>`."""

    # --- what the elements do -------------------------------------------------------------------------

    def _capturing(self, *, below: _Element) -> bool:
        return any(e.capture is not None for e in self._elements if e is not below)

    def _instead(self, element: _Element, spoken: Callable[[str], str]) -> None:
        """Speak `spoken(text)` in place of the element's text."""
        element.capture = captured = []

        def close() -> None:
            self._draft.append(spoken(" ".join("".join(captured).split())))

        element.close = close

    def _control(self, element: _Element, control: WordControl, *, nucleus: bool = False) -> None:
        if control == NEUTRAL:
            return
        opened = OpenControl(control, nucleus, self._draft.length)
        self._controls.append(opened)

        def close() -> None:
            self._add_span(opened, len(self._controls))
            self._controls.remove(opened)

        element.close = close

    def _add_span(self, opened: OpenControl, depth: int) -> None:
        if opened.start < self._draft.length:
            span = Span(
                start=opened.start, end=self._draft.length, control=opened.control, nucleus=opened.nucleus
            )
            self._draft.spans.append((depth, span))

    def _point(self, point: TextPoint) -> None:
        """Between words, which it separates."""
        self._draft.append(" ")
        self._draft.points.append(TextPoint(at=self._draft.length, pause=point.pause, mark=point.mark))

    def _boundary(self) -> None:
        if self._draft.parts and self._draft.parts[-1] != BOUNDARY:
            self._draft.append(BOUNDARY)

    def _switch(self, element: _Element, *, language: str | None = None, speaker: str | None = None) -> None:
        before = (self._draft.language, self._draft.speaker)
        element.previous = element.previous or before
        self._enter(language or before[0], speaker or before[1])

    def _enter(self, language: str | None, speaker: str | None) -> None:
        """Continue in another language or with another speaker: a new passage."""
        if (language, speaker) == (self._draft.language, self._draft.speaker):
            return
        for depth, opened in enumerate(self._controls):
            self._add_span(opened, depth)
            opened.start = 0
        self._done.append(self._draft)
        self._draft = Draft(language, speaker)

    def _value(
        self, element: str, attribute: str, written: str, read: Callable[[str], Any], default: Any
    ) -> Any:
        value = read(written.strip().lower())
        if value is None:
            self._ignore(f'{element} {attribute}="{written.strip()[:40]}"')
            return default
        return value

    def _ignore(self, what: str) -> None:
        self._ignored["".join(c if c.isprintable() else "?" for c in what)] = None

    def _error(self, what: str, *, hint: str | None = None) -> UserError:
        where = "SSML"
        if self._locator is not None:
            where += (
                f", line {self._locator.getLineNumber()}, column {(self._locator.getColumnNumber() or 0) + 1}"
            )
        return UserError(what, where=where, hint=hint)


_HANDLERS: dict[str, Callable[[_Reader, _Element, Mapping[str, str]], None]] = {
    "speak": _Reader._speak,
    "p": _Reader._block,
    "s": _Reader._block,
    "break": _Reader._break,
    "mark": _Reader._mark,
    "prosody": _Reader._prosody,
    "emphasis": _Reader._emphasis,
    "phoneme": _Reader._phoneme,
    "sub": _Reader._sub,
    "say-as": _Reader._say_as,
    "voice": _Reader._voice,
    "lang": _Reader._plain,
    "w": _Reader._plain,
    "token": _Reader._plain,
}
_PROSODY: dict[str, tuple[str, Callable[[str], float | None]]] = {
    "rate": ("rate", rate_of),
    "pitch": ("pitch", pitch_of),
    "range": ("range", range_of),
    "volume": ("energy", energy_of),
}


def _handler(reader: _Reader) -> Any:
    from xml.sax.handler import ContentHandler

    class Handler(ContentHandler):
        def setDocumentLocator(self, locator: Any) -> None:
            reader.locate(locator)

        def startElement(self, name: str, attrs: Any) -> None:
            reader.start(name, dict(attrs.items()))

        def endElement(self, name: str) -> None:
            reader.end()

        def characters(self, content: str) -> None:
            reader.text(content)

    return Handler()
