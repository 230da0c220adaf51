"""The section kinds that come with the appliance; each is imported only when a configuration names it."""

from __future__ import annotations

from netappliance.plugins.lazy import LazySection, LazyService

acme = LazyService("acme", "netappliance.acme.kind:AcmeKind", named=False)
admin = LazyService("admin", "netappliance.admin.kinds:AdminKind", named=False)
appliance = LazySection("appliance", "netappliance.config.appliance:ApplianceKind", named=False, always=True)
cluster = LazySection("cluster", "netappliance.clusters.kind:ClusterKind", named=True)
demo = LazyService("demo", "netappliance.demo.kind:DemoKind", named=False)
filter_section = LazySection("filter", "netappliance.filters.kind:FilterKind", named=True)
http = LazyService("http", "netappliance.http.kind:HttpKind", named=True)
https = LazyService("https", "netappliance.http.kind:HttpsKind", named=True)
manhole = LazyService("manhole", "netappliance.admin.kinds:ManholeKind", named=False)
qcmp = LazyService("qcmp", "netappliance.qcmp.kind:QcmpKind", named=True)
route = LazySection("route", "netappliance.http.routing.kind:RouteKind", named=True)
tcp = LazyService("tcp", "netappliance.tcp.kind:TcpKind", named=True)
tracker = LazyService("tracker", "netappliance.tracker.kind:TrackerKind", named=False)
udp = LazyService("udp", "netappliance.udp.kind:UdpKind", named=True)
