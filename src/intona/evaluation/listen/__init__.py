"""Blind listening tests: a static page for raters, and figures with intervals from their answers."""

from __future__ import annotations

from intona.evaluation.listen.build import Listening, build_test
from intona.evaluation.listen.kinds import KINDS
from intona.evaluation.listen.results import read_key, read_ratings
from intona.evaluation.listen.score import Scores, score

__all__ = ["KINDS", "Listening", "Scores", "build_test", "read_key", "read_ratings", "score"]
