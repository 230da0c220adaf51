"""The wheel that people install: what is in it, and that twistd finds its plug-in from anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.util import find_spec
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


class CompilingTests(SynchronousTestCase):
    """What a build does where it cannot compile; ``setup.py`` is run by itself, as pip runs it behind its back."""

    def setUp(self) -> None:
        if find_spec("setuptools") is None:
            self.skipTest("no setuptools in this environment")
        folder = Path(mkdtemp(prefix="build-"))
        self.addCleanup(shutil.rmtree, folder)
        self.source = folder / "source"
        for name in ("netappliance", "twisted", "tools"):
            shutil.copytree(ROOT / name, self.source / name, ignore=shutil.ignore_patterns("*.so", "build.json"))
        for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, self.source)

    def build(self, *before: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Build without a choice, unless the environment has one."""
        inherited = {
            key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "NETAPPLIANCE_COMPILED")
        }
        command = [*before, sys.executable, "setup.py", "build"]
        return subprocess.run(
            command,
            cwd=self.source,
            env=inherited | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def check_pure(self, done: subprocess.CompletedProcess[str], why: str) -> None:
        """It was built, says why it is not compiled, and so does what was built."""
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"netappliance: pure Python, not compiled: {why}", done.stdout)
        built = str(self.source / "build" / "lib")
        said = run(sys.executable, "-m", "netappliance.process.build", cwd=built).stdout
        self.assertIn(f"(pure Python: {why}", said)

    def test_without_a_compiler_it_is_pure_and_says_so(self) -> None:
        """Debian's name of the package is told."""
        self.check_pure(self.build(CC="/bin/false"), "no C compiler that works: /bin/false")

    def test_without_headers_it_is_pure_and_says_so(self) -> None:
        """In a mount namespace that hides them."""
        include = sysconfig.get_path("include")
        if not Path(include, "Python.h").is_file():
            hide: tuple[str, ...] = ()
        else:
            hide = ("unshare", "-rm", "sh", "-c", f'mount -t tmpfs none {include} && exec "$@"', "sh")
            if subprocess.run([*hide, "true"], capture_output=True, check=False).returncode:
                self.skipTest("no mount namespaces")
        self.check_pure(self.build(*hide), f"no headers of this Python: {include}/Python.h is missing")

    def test_where_compiling_was_asked_for_it_fails_with_the_reason(self) -> None:
        """And nothing is built."""
        done = self.build(CC="/bin/false", NETAPPLIANCE_COMPILED="1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("NETAPPLIANCE_COMPILED=1: no C compiler that works: /bin/false", done.stderr)
        self.assertFalse((self.source / "build").exists())

    def test_where_it_was_forbidden_it_is_pure(self) -> None:
        """And says so."""
        self.check_pure(self.build(NETAPPLIANCE_COMPILED="0"), "NETAPPLIANCE_COMPILED=0")

    def test_another_choice_is_refused(self) -> None:
        """With what may stand there."""
        done = self.build(NETAPPLIANCE_COMPILED="yes")
        self.assertEqual(done.returncode, 1)
        self.assertIn(
            "NETAPPLIANCE_COMPILED = yes: expected 1 (compile or fail), 0 (never compile), or nothing", done.stderr
        )

    def test_what_compiling_needs_is_asked_for_only_where_it_compiles(self) -> None:
        """An installation that stays pure downloads no compiler."""
        code = (
            "import sys; sys.path.insert(0, 'tools'); import build_backend;"
            "print('mypy' in str(build_backend.get_requires_for_build_wheel()))"
        )
        for choice, cc, needed in (("1", "cc", True), ("0", "cc", False), ("", "/bin/false", False)):
            environment = dict(os.environ, NETAPPLIANCE_COMPILED=choice, CC=cc)
            command = [sys.executable, "-c", code]
            done = subprocess.run(
                command, cwd=self.source, env=environment, capture_output=True, text=True, check=False, timeout=60
            )
            self.assertEqual(done.stdout.strip().splitlines()[-1:], [str(needed)], done.stderr)
