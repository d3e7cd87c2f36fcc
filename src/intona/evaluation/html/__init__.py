"""One self-contained page from a report directory: tables, plots, and the utterances to listen to."""

from __future__ import annotations

from intona.evaluation.html.page import Html, Page, Section, join, tag
from intona.evaluation.html.report import write_html

__all__ = ["Html", "Page", "Section", "join", "tag", "write_html"]
