"""Run the whole suite with trial; skipped tests are listed, a leaked descriptor is a failure, the last line counts."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

# Python puts this folder first, where tests/http would hide the standard library's package
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from twisted.trial.reporter import TreeReporter  # noqa: E402
from twisted.trial.runner import TestLoader, TrialRunner  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


def descriptors() -> dict[str, str]:
    """Open descriptors and what they are, but for the reactor's own: epoll, and its reserve descriptor."""
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        try:
            target = str(path.readlink())
        except OSError:
            continue  # the folder that is being read
        if not target.startswith("anon_inode:") and target != "/dev/null":
            found[path.name] = target
    return found


class StrictReporter(TreeReporter):
    """Fails a test that leaves descriptors behind (trial itself fails those that leave timers or selectables)."""

    def startTest(self, method: Any) -> None:
        """Remember what is open."""
        super().startTest(method)
        self._open = descriptors()

    def stopTest(self, method: Any) -> None:
        """Compare; garbage that still holds a descriptor is collected first."""
        super().stopTest(method)
        if descriptors().keys() - self._open.keys():
            gc.collect()
        left = {name: target for name, target in descriptors().items() if name not in self._open}
        if left:
            self.leaks = [*getattr(self, "leaks", []), f"{method.id()} left open: {left}"]


def main(names: list[str]) -> int:
    """Run the named tests (all when there are none); 0 when every one that ran passed, and at least one ran."""
    from twisted.internet import reactor  # noqa: F401, TID251 - its wake-up pipe is there before the first test

    sys.path.insert(0, str(ROOT))
    suite = TestLoader().loadByNames(names or ["tests"], recurse=True)
    result: Any = TrialRunner(StrictReporter, workingDirectory=str(ROOT / "_trial_temp")).run(suite)
    leaks = getattr(result, "leaks", [])
    for leak in leaks:
        print(f"leaked: {leak}")
    for test, reason in result.skips:
        print(f"skipped: {test.id()}: {reason}")
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses) + len(leaks)
    passed = result.successes
    print(f"{passed} passed, {failed} failed, {len(result.skips)} skipped")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
