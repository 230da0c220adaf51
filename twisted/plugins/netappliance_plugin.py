"""
The subcommands that the appliance adds to twistd; imports nothing heavy, for every twistd start imports this
file.
"""

from twisted.application.service import ServiceMaker

proxy = ServiceMaker(
    "netappliance proxy",
    "netappliance.application",
    "A pluggable network appliance: UDP session proxies, TCP reverse proxies, balancing clusters, metrics.",
    "proxy",
)
