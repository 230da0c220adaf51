"""Run the whole suite with trial; the skipped tests are listed, and the last line counts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.trial.reporter import TreeReporter
from twisted.trial.runner import TestLoader, TrialRunner

ROOT = Path(__file__).resolve().parent.parent


def main(names: list[str]) -> int:
    """Run the named tests (all when there are none); 0 when every one that ran passed, and at least one ran."""
    sys.path.insert(0, str(ROOT))
    suite = TestLoader().loadByNames(names or ["tests"], recurse=True)
    result: Any = TrialRunner(TreeReporter, workingDirectory=str(ROOT / "_trial_temp")).run(suite)
    for test, reason in result.skips:
        print(f"skipped: {test.id()}: {reason}")
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    passed = result.successes
    print(f"{passed} passed, {failed} failed, {len(result.skips)} skipped")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
