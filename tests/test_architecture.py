"""The rules of the house (docs/architecture.md), held by the suite."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[1]
CODE = ROOT / "netappliance"

MODULE_LINES = 450
FUNCTION_LINES = 60

#: decision code: takes bytes, values and now, returns values
PURE = (
    "admin/series.py",
    "acme/certificate.py",
    "acme/names.py",
    "acme/pem.py",
    "acme/schedule.py",
    "acme/section.py",
    "config/configuration.py",
    "config/ini.py",
    "config/regex.py",
    "config/schema.py",
    "config/loader.py",
    "errors.py",
    "metrics/",
    "process/descriptors.py",
    "clusters/availability.py",
    "clusters/backoff.py",
    "clusters/balancing/",
    "clusters/health/http_answer.py",
    "clusters/health/state.py",
    "clusters/conduct.py",
    "clusters/outliers.py",
    "clusters/retry_budget.py",
    "clusters/slow_start.py",
    "clusters/section.py",
    "clusters/state.py",
    "dataplane/accept_queue.py",
    "filters/",
    "http/answers.py",
    "http/expansion.py",
    "http/fields.py",
    "http/filters/",
    "http/framing/",
    "http/backends/balance_key.py",
    "http/backends/cookies.py",
    "http/backends/sticky.py",
    "http/exchange/reasons.py",
    "http/identity.py",
    "http/message.py",
    "http/routing/",
    "http/statistics.py",
    "sessions/admission.py",
    "sessions/reasons.py",
    "sessions/session.py",
    "tcp/server_names.py",
    "proxy_protocol/",
    "tls/alerts.py",
    "tls/client_hello.py",
    "tls/facts.py",
    "tls/handshakes.py",
    "tls/ja4.py",
    "tls/passing.py",
    "tls/to_backends/section.py",
    "tls/to_backends/verification.py",
    "tracker/sock_diag/cgroups.py",
    "tracker/conntrack/columns.py",
    "tracker/conntrack/ctnetlink.py",
    "tracker/conntrack/decoder.py",
    "tracker/conntrack/event_lines.py",
    "tracker/counting/hosts.py",
    "tracker/sock_diag/inet_diag.py",
    "tracker/sock_diag/longterm.py",
    "cli/longterm_settings.py",
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
    "tls/certificates/changes.py",
    "tls/certificates/credential.py",
    "tls/certificates/expiry.py",
    "tls/certificates/names.py",
    "tls/certificates/ocsp.py",
    "tls/certificates/parsing.py",
    "tls/certificates/pem.py",
    "tls/certificates/refusals.py",
    "tls/certificates/selection.py",
    "udp/chain.py",
    "udp/datagram.py",
    "udp/filters/",
    "qcmp/packet.py",
)
#: what it may not import; `random` is taken as an argument and imported for its type only
IMPURE = {"twisted", "socket", "select", "time", "ssl", "threading", "subprocess"}

#: room -> the rooms that it knows, for types too; each knows only rooms above it here, so that data flows one way
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "interfaces": set(),
    "plugins": {"interfaces"},
    "metrics": set(),
    "config": {"errors", "interfaces", "plugins"},
    "endpoints": {"errors"},
    "tls": {"config", "errors", "interfaces", "metrics", "plugins"},
    "clusters": {"config", "errors", "interfaces", "metrics", "tls"},
    "sessions": {"clusters", "interfaces", "metrics", "tls"},
    "logs": {"errors", "interfaces", "sessions"},
    "proxy_protocol": {"sessions"},
    "dataplane": {"config", "errors", "metrics", "proxy_protocol", "sessions", "tls"},
    "filters": {"config", "errors", "interfaces"},
    "process": {"clusters", "config", "dataplane", "errors", "interfaces", "logs", "sessions"},
    "tcp": {
        *("clusters", "config", "dataplane", "errors", "interfaces", "process", "proxy_protocol", "sessions", "tls"),
    },
    "udp": {"clusters", "config", "dataplane", "errors", "filters", "interfaces", "metrics", "process", "sessions"},
    "http": {
        *("clusters", "config", "dataplane", "errors", "filters", "interfaces", "logs", "metrics", "process"),
        *("proxy_protocol", "sessions", "tls"),
    },
    "qcmp": {"config", "dataplane", "errors", "interfaces", "process", "udp"},
    "demo": {"config", "endpoints", "errors", "interfaces", "process"},
    "admin": {
        *("clusters", "config", "dataplane", "endpoints", "errors", "interfaces", "logs", "metrics", "process"),
        "sessions",
    },
    "acme": {"admin", "config", "errors", "http", "interfaces", "process", "tls"},
    "tracker": {"admin", "config", "errors", "interfaces", "logs", "metrics", "process", "sessions"},
    "testing": {"clusters", "config", "errors", "http", "interfaces", "sessions", "tracker", "udp"},
    "application": {"config", "errors", "process"},
    "cli": {
        *("admin", "application", "config", "endpoints", "errors", "http", "process", "qcmp", "tls", "tracker", "udp"),
    },
}
#: only what builds the services of a kind knows what it is given
COMPOSITION = ("/kind.py", "/kinds.py")


@cache
def modules() -> list[tuple[str, ast.Module, str]]:
    """Return (path below the package, tree, text) of every module."""
    texts = {path: path.read_text() for path in sorted(CODE.rglob("*.py"))}
    return [(str(path.relative_to(CODE)), ast.parse(text), text) for path, text in texts.items()]


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names that a module imports at run time (not under TYPE_CHECKING)."""
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    yield from _imported(node for node in ast.walk(tree) if id(node) not in typing_only)


def all_imports(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names that a module imports anywhere: at run time, in functions, for types."""
    yield from _imported(ast.walk(tree))


def _imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_graph() -> dict[str, set[str]]:
    """Return module -> modules of ours that it imports, all by their dotted names."""
    trees = {dotted(name): tree for name, tree, _ in modules()}
    graph: dict[str, set[str]] = {}
    for module, tree in trees.items():
        # a name may be a module, or something in one
        found = {name if name in trees else name.rpartition(".")[0] for name in all_imports(tree)}
        graph[module] = (found & trees.keys()) - {module}
    return graph


def dotted(path: str) -> str:
    """Return the name that a module of ours is imported by."""
    return ".".join(("netappliance", *path.removesuffix(".py").split("/"))).removesuffix(".__init__")


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one module, as Tarjan's algorithm finds them."""
    found: list[list[str]] = []
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        path.append(module)
        for other in graph[module]:
            if other not in order:
                visit(other)
            if other in path:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == order[module]:
            start = path.index(module)
            members = path[start:]
            del path[start:]
            if len(members) > 1:
                found.append(sorted(members))

    for module in graph:
        if module not in order:
            visit(module)
    return found


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

    def test_rooms_know_only_what_is_below_them(self) -> None:
        """Data flows one way."""
        found = []
        for name, tree, _ in modules():
            room = name.partition("/")[0].removesuffix(".py")
            known = {room, *ROOMS.get(room, ())} if room != "__main__" else {"cli"}
            for imported in all_imports(tree):
                parts = imported.split(".")
                if parts[0] == "netappliance" and len(parts) > 1 and parts[1] in ROOMS.keys() - known:
                    found.append(f"{name}: {imported}")
        self.assertEqual(found, [])

    def test_every_room_is_in_the_table_below_those_that_know_it(self) -> None:
        """And only the interfaces, the errors and the application lie loose."""
        rooms = {name.partition("/")[0] for name, _, _ in modules()} - {"__init__.py", "__main__.py"}
        loose = ("interfaces.py", "errors.py", "application.py")
        self.assertEqual({room.removesuffix(".py") if room in loose else room for room in rooms}, set(ROOMS))
        order = list(ROOMS)
        for room, known in ROOMS.items():
            self.assertLessEqual(known, set(order[: order.index(room)]), room)

    def test_services_do_not_know_the_appliance(self) -> None:
        """Only what builds the services of a kind does; they are given what they need."""
        knowing = [
            name
            for name, tree, _ in modules()
            if any(imported.startswith("netappliance.process.appliance.") for imported in all_imports(tree))
            and not name.endswith(COMPOSITION)
        ]
        self.assertEqual(knowing, ["application.py", "process/lifecycle.py"])

    def test_no_imports_go_in_a_circle(self) -> None:
        """Those for types and those inside functions count too."""
        self.assertEqual(circles(import_graph()), [])

    def test_a_circle_would_be_found(self) -> None:
        """Through any number of modules, and several at once."""
        graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
        self.assertEqual(circles(graph), [["d", "e"], ["a", "b", "c"]])

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
