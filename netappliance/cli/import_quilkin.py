"""
``python -m netappliance import-quilkin quilkin.yaml > proxy.ini``: the same proxy as a configuration of ours.

What cannot be carried over is listed on standard error, each with its place in the file, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import base64
import ipaddress
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from netappliance.udp.filters import filter_kind

#: bytes of a YAML file
MAX_FILE = 16 * 1024 * 1024


class Importer:
    """Collects the lines of the ini file, and what was left out."""

    def __init__(self) -> None:
        self.left_out: list[str] = []
        self._clusters: list[str] = []
        self._filters: list[str] = []
        self._names: list[str] = []

    def run(self, document: Any, port: int) -> str:
        """
        Translate a parsed YAML document.

        :param port: the UDP port to listen on; newer Quilkin has it on its command line.
        :return: the text of the ini file.
        """
        if not isinstance(document, dict):
            self.left_out.append("the file: a mapping was expected")
            document = {}
        qcmp = document.get("qcmp_port")
        for key in document:
            if key not in ("version", "id", "filters", "clusters", "qcmp_port", "port"):
                self.left_out.append(f"{key}: no counterpart")
        for number, entry in enumerate(_items(document.get("filters"))):
            self._filter(f"filters[{number}]", entry)
        for number, cluster in enumerate(_items(document.get("clusters"))):
            self._cluster(f"clusters[{number}]", cluster)
        listen = document.get("port", port)
        parts = ["; written by import-quilkin", "[cluster quilkin]", "backends =", *self._clusters, ""]
        parts += [f"[udp quilkin]\nlisten = udp:{listen}:interface=\\:\\:", "cluster = quilkin"]
        parts += [f"filters = {', '.join(self._names)}", "balance_all = yes", ""]
        parts += self._filters
        if qcmp is not None:
            parts += [f"[qcmp quilkin]\nlisten = udp:{qcmp}:interface=\\:\\:", ""]
        return "\n".join(parts)

    def _cluster(self, place: str, cluster: Any) -> None:
        if not isinstance(cluster, dict):
            self.left_out.append(f"{place}: a mapping was expected")
            return
        locality = cluster.get("locality")
        if isinstance(locality, dict):
            locality = ":".join(str(locality[key]) for key in ("region", "zone", "sub_zone") if locality.get(key))
        for number, endpoint in enumerate(_items(cluster.get("endpoints"))):
            self._endpoint(f"{place}.endpoints[{number}]", endpoint, str(locality or ""))

    def _endpoint(self, place: str, endpoint: Any, locality: str) -> None:
        if not isinstance(endpoint, dict) or not isinstance(endpoint.get("address"), str):
            self.left_out.append(f"{place}: an address was expected")
            return
        address = endpoint["address"].removeprefix("udp://")
        metadata = endpoint.get("metadata") or {}
        own = metadata.get("quilkin.dev") or {} if isinstance(metadata, dict) else {}
        line = f"    {address}"
        for token in _items(own.get("tokens")):
            line += f" token={token}"
        if locality:
            line += f" locality={locality}"
        for key in metadata if isinstance(metadata, dict) else ():
            if key != "quilkin.dev":
                self.left_out.append(f"{place}.metadata.{key}: backends have no free metadata")
        self._clusters.append(line)

    def _filter(self, place: str, entry: Any) -> None:
        name = entry.get("name") if isinstance(entry, dict) else None
        try:
            kind = filter_kind(str(name)).name
        except ValueError:
            self.left_out.append(f"{place}: no filter {name!r}")
            return
        config = entry.get("config") or {}
        translate = _TRANSLATORS.get(kind)
        try:
            lines = list(translate(config, self, place)) if translate is not None else []
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.left_out.append(f"{place}: its config cannot be read ({type(error).__name__}: {error})")
            return
        own = f"{kind}-{len(self._filters) + 1}"
        self._filters.append("\n".join([f"[filter {own}]", f"kind = {kind}", *lines, ""]))
        self._names.append(own)

    def branch(self, place: str, entry: Mapping[str, Any]) -> str:
        """Translate a filter inside match; returns its section's name."""
        before = len(self._names)
        self._filter(place, {"name": entry["name"], "config": entry.get("config")})
        if len(self._names) == before:
            raise ValueError("a branch was left out")
        return self._names.pop()


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _capture(config: Mapping[str, Any], importer: Importer, place: str) -> Iterator[str]:
    yield f"metadata_key = {config.get('metadataKey', 'quilkin.dev/capture')}"
    for strategy in ("prefix", "suffix", "regex"):
        options = config.get(strategy)
        if options is None:
            continue
        yield f"strategy = {strategy}"
        if strategy == "regex":
            yield f"pattern = {options['pattern']}"
        else:
            yield f"size = {int(options['size'])}"
            yield f"remove = {'yes' if options.get('remove') else 'no'}"


def _key(config: Mapping[str, Any], importer: Importer, place: str) -> Iterator[str]:
    yield f"metadata_key = {config.get('metadataKey', 'quilkin.dev/capture')}"


def _policy(config: Mapping[str, Any], importer: Importer, place: str) -> Iterator[str]:
    yield f"policy = {config.get('policy', 'ROUND_ROBIN')}"


def _firewall(config: Mapping[str, Any], importer: Importer, place: str) -> Iterator[str]:
    for side in ("on_read", "on_write"):
        lines = []
        for rule in _items(config.get(side)):
            sources = [str(ipaddress.ip_network(source, strict=False)) for source in _items(rule.get("sources"))]
            ports = [_port_range(str(port)) for port in _items(rule.get("ports"))]
            lines.append(f"    {rule['action'].lower()} {' '.join(sources) or 'any'} ports {','.join(ports)}")
        yield f"{side} =" + "".join(f"\n{line}" for line in lines)


def _port_range(text: str) -> str:
    """Quilkin's ranges leave out their end, ours do not."""
    low, dash, high = text.partition("-")
    return f"{int(low)}-{int(high) - 1}" if dash else str(int(low))


def _rate(config: Mapping[str, Any], importer: Importer, place: str) -> Iterator[str]:
    yield f"max_packets = {int(config['max_packets'])}"
    yield f"period = {int(config.get('period', 1))}s"


def _concatenate(config: Mapping[str, Any], importer: Importer, place: str) -> Iterator[str]:
    words = {"DO_NOTHING": "nothing", "APPEND": "append", "PREPEND": "prepend"}
    for side in ("on_read", "on_write"):
        yield f"{side} = {words[config.get(side, 'DO_NOTHING')]}"
    base64.b64decode(config["bytes"], validate=True)
    yield f"bytes = {config['bytes']}"


def _compress(config: Mapping[str, Any], importer: Importer, place: str) -> Iterator[str]:
    words = {"DO_NOTHING": "nothing", "COMPRESS": "compress", "DECOMPRESS": "decompress"}
    yield f"mode = {config.get('mode', 'SNAPPY').lower()}"
    for side in ("on_read", "on_write"):
        yield f"{side} = {words[config[side]]}"


def _match(config: Mapping[str, Any], importer: Importer, place: str) -> Iterator[str]:
    keys, fallthroughs = set(), set()
    for side in ("on_read", "on_write"):
        options = config.get(side)
        if options is None:
            continue
        keys.add(options["metadataKey"])
        lines = []
        for number, branch in enumerate(_items(options.get("branches"))):
            value = branch["value"]
            raw = bytes([value]) if isinstance(value, int) else str(value).encode()
            name = importer.branch(f"{place}.{side}.branches[{number}]", branch)
            lines.append(f"    base64:{base64.b64encode(raw).decode()} {name}")
        yield f"{side} =\n" + "\n".join(lines)
        other = options.get("fallthrough")
        fallthroughs.add(importer.branch(f"{place}.{side}.fallthrough", other) if other else "drop")
    if len(keys) != 1 or len(fallthroughs) != 1:
        raise ValueError("both sides must have one metadataKey and one fallthrough")
    yield f"metadata_key = {keys.pop()}"
    yield f"fallthrough = {fallthroughs.pop()}"


def _debug(config: Mapping[str, Any], importer: Importer, place: str) -> Iterator[str]:
    if config.get("id"):
        yield f"id = {config['id']}"


def _decryptor(config: Mapping[str, Any], importer: Importer, place: str) -> Iterator[str]:
    yield f"key = {config['key']}"
    yield "cipher = chacha20"
    yield f"data_key = {config.get('dataKey', 'quilkin.dev/capture')}"
    yield f"nonce_key = {config.get('nonceKey', 'quilkin.dev/nonce')}"


_TRANSLATORS = {
    "capture": _capture,
    "token_router": _key,
    "hashed_token_router": _key,
    "timestamp": _key,
    "load_balancer": _policy,
    "firewall": _firewall,
    "rate_limit": _rate,
    "concatenate": _concatenate,
    "compress": _compress,
    "match": _match,
    "debug": _debug,
    "decryptor": _decryptor,
}


def main(arguments: list[str]) -> int:
    """Read, translate, print."""
    parser = argparse.ArgumentParser(prog="python -m netappliance import-quilkin", description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--port", type=int, default=7777, help="the UDP port to listen on (7777)")
    options = parser.parse_args(arguments)
    try:
        with Path(options.file).open("rb") as file:
            document = yaml.safe_load(file.read(MAX_FILE))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        sys.stderr.write(f"{options.file}: {' '.join(str(error).split())}\n")
        return 1
    importer = Importer()
    sys.stdout.write(importer.run(document, options.port))
    for what in importer.left_out:
        sys.stderr.write(f"{options.file}: left out: {what}\n")
    return 1 if importer.left_out else 0
