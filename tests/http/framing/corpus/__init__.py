"""Smuggling and malformed messages by family, each with its verdict."""

from __future__ import annotations

from tests.http.framing.corpus import bodies, heads, lengths
from tests.http.framing.corpus.case import Case

CASES: list[Case] = [
    case
    for family in (
        *(lengths.cl_and_te, lengths.transfer_encodings, lengths.content_lengths),
        *(
            heads.line_ends,
            heads.controls,
            heads.field_lines,
            heads.methods,
            heads.targets,
            heads.versions,
            heads.hosts,
        ),
        *(
            bodies.chunk_sizes,
            bodies.chunk_extensions,
            bodies.chunk_ends,
            bodies.trailers,
            bodies.limits,
            bodies.hop_by_hop,
        ),
        *(bodies.upgrades, bodies.expectations, bodies.pipelines),
    )
    for case in family()
]
