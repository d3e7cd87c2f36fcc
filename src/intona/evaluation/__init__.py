"""Wavs, texts and a manifest in; figures with intervals out. Knows nothing about models."""

from __future__ import annotations

from intona.evaluation.manifest import Manifest, Row, read_manifest, write_manifest
from intona.evaluation.markdown import to_markdown
from intona.evaluation.plan import System
from intona.evaluation.report import Report, to_json
from intona.evaluation.run import EvaluationConfig, evaluate

__all__ = [
    "EvaluationConfig",
    "Manifest",
    "Report",
    "Row",
    "System",
    "evaluate",
    "read_manifest",
    "to_json",
    "to_markdown",
    "write_manifest",
]
