"""Says what to install when this Python cannot make the environments; run by the Makefile with any Python 3."""

import importlib.util
import sys

NEEDED = (3, 11)


def main():  # type: () -> int
    """Return 0 when everything is there, else say what is missing."""
    if sys.version_info < NEEDED:
        print("Python 3.11 or newer is needed, this is {}.{}: make PYTHON=python3.11".format(*sys.version_info[:2]))
        return 1
    missing = [name for name in ("venv", "pip") if importlib.util.find_spec(name) is None]
    if missing:
        print("this Python has no {}: apt-get install python3-pip python3-venv".format(" and no ".join(missing)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
