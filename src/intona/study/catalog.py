"""The studies there are: a module that declares the plan and one that writes the page."""

from __future__ import annotations

# name -> (module with declare, SIZES, ARMS, DEFAULT_ARMS, REPEATED; module with write)
STUDIES = {"prosody": ("intona.systems.prosody.study", "intona.systems.prosody.study_report")}
