"""QCMP: the latency ping that game clients send to choose a proxy (Quilkin, wire compatible)."""
