"""The wheel that people install: what is in it, and that twistd finds its plug-in from anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import mkdtemp

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from netappliance import __version__

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str, cwd: Path | str | None = None) -> subprocess.CompletedProcess[str]:
    """Run without this checkout on the path."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["NETAPPLIANCE_COMPILED"] = "0"
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=cwd, env=environment)


class PluginTests(SynchronousTestCase):
    """The subcommand."""

    def test_twistd_finds_one_proxy_command(self) -> None:
        """With everything that a service maker must have."""
        makers = [maker for maker in getPlugins(IServiceMaker) if maker.tapname == "proxy"]
        self.assertEqual(len(makers), 1)
        verifyObject(IServiceMaker, makers[0])

    def test_the_plugin_file_imports_nothing_heavy(self) -> None:
        """Every twistd start of the host imports it."""
        code = (
            "import sys; import twisted.application.service; before = set(sys.modules);"
            "import twisted.plugins.netappliance_plugin; new = set(sys.modules) - before;"
            "print(sorted(name for name in new if not name.startswith('twisted.plugins')))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
        self.assertEqual(done.stdout.strip(), "[]", done.stderr)


class WheelTests(SynchronousTestCase):
    """Built, looked into, installed elsewhere."""

    timeout = 280

    def test_the_wheel_holds_the_plugin_and_runs_from_anywhere(self) -> None:
        """No tests, no caches, no __init__.py of Twisted's; `twistd proxy --help` in a clean environment from /."""
        folder = Path(mkdtemp(prefix="wheel-"))
        self.addCleanup(shutil.rmtree, folder)
        source = folder / "source"
        ignore = shutil.ignore_patterns(".git", ".venv", "_trial_temp*", "build", "*.egg-info", "dropin.cache", "var")
        shutil.copytree(ROOT, source, ignore=ignore)
        built = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(source))
        if built.returncode and "No matching distribution" in built.stderr + built.stdout:
            self.skipTest("no package index to take setuptools from")
        self.assertEqual(built.returncode, 0, built.stderr)
        wheel = folder / f"netappliance-{__version__}-py3-none-any.whl"
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
            record = archive.read(f"netappliance-{__version__}.dist-info/RECORD").decode()
        self.assertIn("twisted/plugins/netappliance_plugin.py", names)
        self.assertIn("twisted/plugins/netappliance_plugin.py", record)
        self.assertIn("netappliance/py.typed", names)
        for bad in ("twisted/__init__.py", "twisted/plugins/__init__.py"):
            self.assertNotIn(bad, names)
        self.assertEqual([name for name in names if name.startswith(("tests/", "benchmarks/")) or "dropin" in name], [])
        environment = folder / "venv"
        made = run(sys.executable, str(ROOT / "tools" / "bootstrap_venv.py"), str(environment))
        self.assertEqual(made.returncode, 0, made.stderr)
        python = str(environment / "bin" / "python")
        installed = run(python, "-m", "pip", "install", "--quiet", str(wheel))
        self.assertEqual(installed.returncode, 0, installed.stderr)
        helped = run(str(environment / "bin" / "twistd"), "proxy", "--help", cwd="/")
        self.assertEqual((helped.returncode, "--config=" in helped.stdout), (0, True), helped.stderr)
        removed = run(python, "-m", "pip", "uninstall", "--quiet", "-y", "netappliance")
        self.assertEqual(removed.returncode, 0, removed.stderr)
        self.assertEqual(list(environment.rglob("netappliance_plugin.py")), [])
