"""Studies: many runs that answer one question. A system declares jobs; the engine runs and resumes them."""

from intona.study.engine import Outcome, run
from intona.study.plan import Arm, Job, Plan

__all__ = ["Arm", "Job", "Outcome", "Plan", "run"]
