"""Names that the hash of a job has always used.

A finished job is recognized by a hash of its call and arguments. Where a function has moved or an argument
has a better name, the hash keeps the old one, so that a study started with an earlier version continues.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HERE = "intona.studies."
# A call, or a string among the arguments, without HERE -> its name in the hash.
HASHED = {
    "engine.stages:train": "intona.study.stages:train",
    "engine.stages:declare_test": "intona.study.stages:declare_test",
    "engine.stages:speak": "intona.study.stages:speak",
    "engine.stages:judge": "intona.study.stages:judge",
    "prosody.probe:find_speakers": "intona.systems.prosody.probe:find_speakers",
    "prosody.probe:find_sounds": "intona.systems.prosody.probe:find_sounds",
    "prosody.probe:follow": "intona.systems.prosody.probe:follow",
    "ditto.copy_synthesis:speak_copy": "intona.systems.prosody.ditto_copy:speak_copy",
    "meld.jobs:baselines": "intona.systems.meld.study_jobs:baselines",
    "meld.jobs:speak": "intona.systems.meld.study_jobs:speak",
    "meld.jobs:listen": "intona.systems.meld.study_jobs:listen",
    "meld.silence:SilenceJudge": "intona.systems.meld.silence:SilenceJudge",
    "restyle.jobs:train": "intona.systems.restyle.sweep:train",
    "restyle.jobs:synthesize_corpus": "intona.systems.restyle.sweep:speak_own",
    "restyle.speakers:measure_speakers": "intona.systems.restyle.sweep:find_people",
    "restyle.speech:speak": "intona.systems.restyle.sweep:say",
    "restyle.speech:swap": "intona.systems.restyle.sweep:swap",
    "restyle.conditions:declare_test": "intona.systems.restyle.trial:declare_test",
    "restyle.gate:measure_gate": "intona.systems.restyle.gate:look",
    "restyle.probes:run_probes": "intona.systems.restyle.probes:look",
}
# Call, without HERE -> argument -> its name in the hash.
HASHED_ARGUMENTS = {"meld.jobs:listen": {"speech": "said"}}


def hashed(call: str, arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The call and the arguments of a job under the names that its hash is made of."""
    renamed = HASHED_ARGUMENTS.get(call.removeprefix(HERE), {}) if call.startswith(HERE) else {}
    return _value(call), {renamed.get(k, k): _value(v) for k, v in arguments.items()}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return HASHED.get(value.removeprefix(HERE), value) if value.startswith(HERE) else value
    if isinstance(value, Mapping):
        return {k: _value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_value(v) for v in value]
    return value
