"""`python -m mmasched` is the `mmasched` command."""

from mmasched.cli import main

if __name__ == "__main__":
    main()
