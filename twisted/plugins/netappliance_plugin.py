"""The subcommands that the appliance adds to twistd; every start of twistd imports this, so it imports little."""

from twisted.application.service import ServiceMaker

proxy = ServiceMaker(
    "netappliance proxy",
    "netappliance.application",
    "A pluggable network appliance: HTTP, TCP and UDP proxies, balancing clusters, a connection tracker, metrics.",
    "proxy",
)

conntrack = ServiceMaker(
    "netappliance conntrack",
    "netappliance.cli.conntrack_command",
    "The host's connections by state and remote end for Prometheus, with conntrack_exporter's flags and metrics.",
    "conntrack",
)

longterm = ServiceMaker(
    "netappliance longterm",
    "netappliance.cli.longterm_command",
    "Long-lived TCP connections by port for Prometheus, with tcp_established_exporter's settings and metric.",
    "longterm",
)
