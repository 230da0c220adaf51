"""What connections the host has: conntrack as bounded Prometheus metrics."""
