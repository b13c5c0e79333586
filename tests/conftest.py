"""Options of the whole test suite."""

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--cuda-tuples",
        type=int,
        default=200,
        metavar="N",
        help="random (problem, config, precision, chip) tuples of the CUDA template to emulate (default: 200)",
    )
    parser.addoption(
        "--full-size",
        action="store_true",
        help="emulate networks of real size as well, which takes minutes for each",
    )


@pytest.fixture
def full_size(request):
    """Skips where the slowest tests were not asked for."""
    if not request.config.getoption("--full-size"):
        pytest.skip("takes minutes: pass --full-size to run it")
