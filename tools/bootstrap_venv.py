"""
Make a virtual environment with pip in it, also where the distribution left out ensurepip (Debian without python3-venv).

Usage: bootstrap_venv.py FOLDER
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import venv
from pathlib import Path

HINT = "install it with: apt-get install python3-venv"


def main(folder: Path) -> int:
    """Try the ways in turn; 0 when the environment has a working pip."""
    if sys.version_info < (3, 10):
        sys.stderr.write(f"Python 3.10 or newer is needed, this is {sys.version.split()[0]}\n")
        return 1
    python = folder / "bin" / "python"
    for way in (_ensurepip, _other_pip, _pip_wheel):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            way(folder)
        except Exception as error:
            sys.stderr.write(f"{way.__doc__}: {error}\n")
            continue
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
            return 0
    shutil.rmtree(folder, ignore_errors=True)
    sys.stderr.write(f"no way to put pip into {folder}; {HINT}\n")
    return 1


def _ensurepip(folder: Path) -> None:
    """python -m venv"""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)


def _other_pip(folder: Path) -> None:
    """venv without pip, filled by this Python's pip"""
    venv.create(folder, with_pip=False)
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "pip"]
    subprocess.run(command, check=True, capture_output=True)


def _pip_wheel(folder: Path) -> None:
    """venv without pip, filled by pip's own wheel from the index"""
    venv.create(folder, with_pip=False)
    index = os.environ.get("PIP_INDEX_URL") or _configured_index() or "https://pypi.org/simple"
    page_url = index.rstrip("/") + "/pip/"
    if not page_url.startswith(("https://", "http://")):
        raise ValueError(f"the index is no web address: {page_url}")
    with urllib.request.urlopen(page_url, timeout=30) as answer:  # noqa: S310 - checked above
        page = answer.read().decode("utf-8")
    links = re.findall(r'href="([^"]+/pip-(\d+(?:\.\d+)*)-py3-none-any\.whl[^"]*)"', page)
    if not links:
        raise ValueError(f"no wheel of pip at {page_url}")
    link, version = max(links, key=lambda item: tuple(int(part) for part in item[1].split(".")))
    with tempfile.TemporaryDirectory() as temporary:
        wheel = Path(temporary) / f"pip-{version}-py3-none-any.whl"
        url = urllib.parse.urljoin(page_url, link.replace("&amp;", "&"))
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - from the index above
            wheel.write_bytes(answer.read())
        # a wheel of pip can run from inside the archive
        command = [str(folder / "bin" / "python"), str(wheel / "pip"), "install", "--no-index", str(wheel)]
        subprocess.run(command, check=True, capture_output=True)


def _configured_index() -> str:
    for path in (Path("/etc/pip.conf"), Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"):
        if path.is_file():
            match = re.search(r"^index-url\s*=\s*(\S+)", path.read_text("utf-8"), re.MULTILINE)
            if match:
                return match.group(1)
    return ""


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
