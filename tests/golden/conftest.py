"""Golden tests: short runs of every stage and shipped models, compared with stored values."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from intona.nn import precision

from ..systems.conftest import spoken  # noqa: F401
from ..systems.meld.conftest import corpus  # noqa: F401
from ..systems.restyle.conftest import mute, voice  # noqa: F401
from ..systems.vocoder.conftest import fill, targets  # noqa: F401
from .recipes import Runs


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-golden",
        metavar="REASON",
        default="",
        help="store golden values that have changed, with the reason for the change",
    )


@pytest.fixture(scope="session")
def reason(request: pytest.FixtureRequest) -> str:
    """Why values are stored again; empty if they are only compared."""
    return request.config.getoption("--write-golden", default="")


@pytest.fixture(scope="module", autouse=True)
def fp32_on_a_cpu() -> Iterator[None]:
    """Neither bf16 nor a GPU on any machine. With a frozen clock bf16 never measures as faster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "time", SimpleNamespace(perf_counter=lambda: 0.0))
        patch.setattr("torch.cuda.is_available", lambda: False)
        patch.setattr("torch.cuda.device_count", lambda: 0)
        precision.bf16_wins.cache_clear()
        assert not precision.bf16_wins()
        yield
    precision.bf16_wins.cache_clear()


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The runs of the recipes, each trained on first use."""
    return Runs(tmp_path_factory.mktemp("golden"), request.getfixturevalue)
