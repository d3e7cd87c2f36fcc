"""Wavs, texts and a manifest in; figures with intervals out. Knows nothing of models."""

from __future__ import annotations

from intona.evaluation.manifest import Manifest, Row, read_manifest, write_manifest
from intona.evaluation.run import EvaluationConfig, evaluate
from intona.evaluation.table import Report, to_json, to_markdown

__all__ = [
    "EvaluationConfig",
    "Manifest",
    "Report",
    "Row",
    "evaluate",
    "read_manifest",
    "to_json",
    "to_markdown",
    "write_manifest",
]
