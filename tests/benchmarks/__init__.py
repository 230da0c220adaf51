"""The benchmarks' own decisions: ratios, targets, selections, figures."""
