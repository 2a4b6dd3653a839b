"""Fails when fewer tests ran than there are known to be, or one was skipped for a reason that is not listed."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
ALLOWED = [
    "this Python lies where only root may read",
    "no Honker process",
    "needs systemd-analyze",
    "this machine allows no mounts in a namespace",
    "network namespaces need root",  # and containers may forbid them to root
    "mounting a small file system needs root",
]
if not (SHARED / "data").is_dir():
    ALLOWED.append("shared data absent")


def main() -> int:
    """Check pairs of (junit file, least number of tests that must have passed)."""
    problems = []
    passed_in_all = failed = skipped_in_all = 0
    for file, least in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        passed = 0
        for case in ElementTree.parse(file).iter("testcase"):
            skipped = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif skipped is None:
                passed += 1
            else:
                skipped_in_all += 1
                reason = skipped.get("message", "")
                if not any(allowed in reason for allowed in ALLOWED):
                    problems.append(f"{case.get('classname')}::{case.get('name')} was skipped: {reason}")
        passed_in_all += passed
        missing = len([a for a in ALLOWED if "shared" in a]) and int(least) // 10
        if passed < int(least) - missing:
            problems.append(f"{file}: {passed} tests passed, at least {least} are expected")
    for problem in problems:
        print(problem)
    print(f"{passed_in_all} passed, {failed} failed, {skipped_in_all} skipped")
    return 1 if problems or failed else 0


if __name__ == "__main__":
    sys.exit(main())
