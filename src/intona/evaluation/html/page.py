"""A self-contained HTML page: escaped by construction, no network, readable in light and dark.

Everything that is not `Html` is escaped. The Content-Security-Policy of the page forbids all requests and all
scripts except the one written here, so that even a mistake in escaping runs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from intona.errors import UserError
from intona.files import write_whole

_VOID = {"img", "br", "hr", "meta", "input", "source"}


class Html(str):
    """Markup that needs no escaping."""

    __slots__ = ()


Child = str | Html | None


def text(value: object) -> Html:
    """Any value as escaped text."""
    return Html(html.escape(str(value), quote=True))


def join(parts: Iterable[Child], between: Child = None) -> Html:
    """Parts one after the other; plain strings are escaped."""
    safe = [p if isinstance(p, Html) else text(p) for p in parts if p is not None]
    glue = Html("") if between is None else between if isinstance(between, Html) else text(between)
    return Html(str.join(glue, safe))


def tag(name: str, /, *children: Child, **attributes: object) -> Html:
    """`tag("a", "text", href="#x", class_="y", aria_label="z")`; None and False leave an attribute out."""
    shown = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        shown.append(f" {key}" if value is True else f' {key}="{html.escape(str(value), quote=True)}"')
    opening = f"<{name}{''.join(shown)}>"
    return Html(opening) if name in _VOID else Html(f"{opening}{join(children)}</{name}>")


def data_uri(mime: str, raw: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(raw).decode('ascii')}"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and the content below it.

    Args:
        id: the anchor in the table of contents. lead: one line before the body, or several.
    """

    id: str
    title: str
    body: Html
    lead: Child | Sequence[Child] = None

    def render(self) -> Html:
        lead = None
        if self.lead:
            if isinstance(self.lead, str):
                lead = tag("p", self.lead, class_="lead")
            else:
                lead = tag("ul", *[tag("li", line) for line in self.lead], class_="lead")
        heading = tag("h2", self.title, id=f"{self.id}-title")
        return tag("section", heading, lead, self.body, id=self.id, aria_labelledby=f"{self.id}-title")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole page.

    Args:
        title: of the page and its first heading. subtitle: the line below it.
        language: of the page.
    """

    title: str
    sections: Sequence[Section]
    subtitle: Child = None
    footer: Child = None
    language: str = "en"

    def render(self) -> str:
        style, script = asset("style.css"), asset("script.js")
        contents = [tag("li", tag("a", s.title, href=f"#{s.id}")) for s in self.sections]
        body = join(
            [
                tag("a", "Skip to the content", href="#content", class_="skip"),
                tag("header", tag("h1", self.title), tag("p", self.subtitle) if self.subtitle else None),
                tag("nav", tag("ul", *contents), aria_label="Contents"),
                tag("main", *[s.render() for s in self.sections], id="content", tabindex="-1"),
                tag("footer", self.footer) if self.footer else None,
            ],
            Html("\n"),
        )
        return document(self.title, style=style, script=script, body=body, language=self.language)

    def write(self, path: Path | str) -> Path:
        return write_text(path, self.render())


def document(
    title: str, *, style: str, script: str, body: Html, language: str = "en", media: str = "data:"
) -> str:
    """The frame of a page. `media`: where audio may be loaded from (a source of the policy)."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; img-src data:; media-src {media}; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    head = join(
        [
            Html('<meta charset="utf-8">'),
            tag("meta", http_equiv="Content-Security-Policy", content=policy),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", title),
            Html(f"<style>\n{style}</style>"),
        ],
        Html("\n"),
    )
    return (
        f'<!DOCTYPE html>\n<html lang="{html.escape(language)}">\n<head>\n{head}\n</head>\n'
        f"<body>\n{body}\n<script>{script}</script>\n</body>\n</html>\n"
    )


def asset(name: str) -> str:
    """A text file beside this module."""
    return resources.files("intona.evaluation.html").joinpath(name).read_text(encoding="utf-8")


def write_text(path: Path | str, content: str) -> Path:
    """Write whole or not at all.

    Raises:
        UserError: a folder that cannot be written, a full disk.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as e:
        raise UserError(f"cannot be written ({e.strerror})", where=path) from None
    return path
