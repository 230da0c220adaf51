"""The rules of the house (docs/architecture.md), held by the suite."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[1]
CODE = ROOT / "netappliance"

MODULE_LINES = 450
FUNCTION_LINES = 60

#: decision code: takes bytes, values and now, returns values
PURE = (
    "config/configuration.py",
    "config/ini.py",
    "config/schema.py",
    "config/loader.py",
    "errors.py",
    "process/descriptors.py",
    "clusters/backoff.py",
    "clusters/balancing/",
    "clusters/health/state.py",
    "dataplane/accept_queue.py",
    "http/answers.py",
    "http/fields.py",
    "http/filters/",
    "http/framing/",
    "http/backends/balance_key.py",
    "http/backends/cookies.py",
    "http/backends/sticky.py",
    "http/forwarding/head_writer.py",
    "http/forwarding/identity.py",
    "http/forwarding/reasons.py",
    "http/message.py",
    "http/routing/",
    "http/statistics.py",
    "sessions/admission.py",
    "sessions/histogram.py",
    "sessions/reasons.py",
    "sessions/session.py",
    "tcp/proxy_protocol/",
    "tracker/sock_diag/cgroups.py",
    "tracker/conntrack/columns.py",
    "tracker/conntrack/ctnetlink.py",
    "tracker/conntrack/decoder.py",
    "tracker/conntrack/event_lines.py",
    "tracker/counting/hosts.py",
    "tracker/sock_diag/inet_diag.py",
    "tracker/sock_diag/longterm.py",
    "tracker/commands/longterm_settings.py",
    "tracker/conntrack/nftables.py",
    "tracker/counting/places.py",
    "tracker/sock_diag/proc_tcp.py",
    "tracker/sock_diag/quality.py",
    "tracker/listing/query.py",
    "tracker/sock_diag/socket_entry.py",
    "tracker/sock_diag/socket_table.py",
    "tracker/source_choice.py",
    "tracker/conntrack/table.py",
    "tracker/counting/totals.py",
    "udp/chain.py",
    "udp/datagram.py",
    "udp/filters/",
    "qcmp/packet.py",
)
#: what it may not import; `random` is taken as an argument and imported for its type only
IMPURE = {"twisted", "socket", "select", "time", "ssl", "threading", "subprocess"}

#: folder -> folders of ours that it must not know
LAYERS = {
    "dataplane": {"tcp", "udp", "http", "admin", "tracker", "clusters"},
    "sessions": {"tcp", "udp", "http", "tracker", "dataplane"},
    "clusters": {"tcp", "udp", "http", "admin", "tracker", "dataplane"},
    "config": {"tcp", "udp", "http", "admin", "tracker", "clusters", "dataplane"},
}


def modules() -> Iterator[tuple[str, ast.Module, str]]:
    """Yield (path below the package, tree, text) of every module."""
    for path in sorted(CODE.rglob("*.py")):
        text = path.read_text()
        yield str(path.relative_to(CODE)), ast.parse(text), text


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names that a module imports at run time (not under TYPE_CHECKING)."""
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class ArchitectureTests(SynchronousTestCase):
    """Sizes, layers, purity."""

    def test_modules_and_functions_stay_small(self) -> None:
        """A longer one wants splitting."""
        long = []
        for name, tree, text in modules():
            if text.count("\n") > MODULE_LINES:
                long.append(f"{name}: {text.count(chr(10))} lines")
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    lines = (node.end_lineno or 0) - node.lineno + 1
                    if lines > FUNCTION_LINES:
                        long.append(f"{name}: {node.name} has {lines} lines")
        self.assertEqual(long, [])

    def test_decision_code_does_no_io_and_asks_no_clock(self) -> None:
        """So that it is tested and fuzzed with values alone."""
        found = []
        for name, tree, _ in modules():
            if name.startswith(PURE):
                for imported in imports(tree):
                    top = imported.partition(".")[0]
                    if top in IMPURE:
                        found.append(f"{name}: {imported}")
        self.assertEqual(found, [])

    def test_decision_code_draws_from_the_generator_that_it_is_given(self) -> None:
        """`random.choice()` and its like would share the process's generator; only the type is named."""
        found = []
        for name, tree, _ in modules():
            if name.startswith(PURE):
                for node in ast.walk(tree):
                    text = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
                    if text.startswith("random.") and not text.startswith("random.Random"):
                        found.append(f"{name}: {text}")
        self.assertEqual(found, [])

    def test_every_rule_names_modules_that_exist(self) -> None:
        """A renamed module does not slip out of its rule."""
        names = [name for name, _, _ in modules()]
        self.assertEqual([rule for rule in PURE if not any(name.startswith(rule) for name in names)], [])

    def test_layers_know_only_what_is_below_them(self) -> None:
        """Data flows one way."""
        found = []
        for name, tree, _ in modules():
            forbidden = LAYERS.get(name.partition("/")[0], set())
            for imported in imports(tree):
                parts = imported.split(".")
                if parts[0] == "netappliance" and len(parts) > 1 and parts[1] in forbidden:
                    found.append(f"{name}: {imported}")
        self.assertEqual(found, [])

    def test_only_application_knows_the_reactor(self) -> None:
        """Everything else is given one."""
        knowing = [name for name, tree, _ in modules() if "twisted.internet.reactor" in set(imports(tree))]
        self.assertEqual(knowing, ["application.py"])

    def test_the_twisted_folders_stay_namespaces(self) -> None:
        """An __init__.py in twisted/ shadows Twisted, one in twisted/plugins/ hides our plug-in."""
        for folder in (ROOT / "twisted", ROOT / "twisted" / "plugins"):
            self.assertFalse((folder / "__init__.py").exists(), str(folder))

    def test_nothing_is_left_unfinished(self) -> None:
        """No marks of work to do."""
        marks = [
            f"{name}: {mark}"
            for name, _, text in modules()
            for mark in ("TO" + "DO", "FIX" + "ME", "XXX")
            if mark in text
        ]
        self.assertEqual(marks, [])
