"""Options of the whole test suite."""


def pytest_addoption(parser):
    parser.addoption(
        "--cuda-tuples",
        type=int,
        default=200,
        metavar="N",
        help="random (problem, config, precision, chip) tuples of the CUDA template to emulate (default: 200)",
    )
