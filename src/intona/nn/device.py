"""The device that a model runs on, by the name that a user gives it."""

from __future__ import annotations

import torch

from intona.errors import UserError


def device_of(name: str | torch.device) -> torch.device:
    """A device that can be used here.

    Args:
        name: as torch names it: "cpu", "cuda", "cuda:1", "mps".

    Raises:
        UserError: no such kind of device, or none of that kind here.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as e:
        reason = str(e).split("\n")[0].rstrip(".")
        what = f'"{name}" cannot be used ({reason})'
        raise UserError(what, where="--device", hint="such as cpu, cuda, cuda:1") from None
    return device
