"""[filter NAME]: two families under one kind of section."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from netappliance.config.ini import parse
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.config.schema import options_of
from netappliance.errors import ConfigErrors, ConfigProblem
from netappliance.filters.kind import FilterKind, filter_kind, filter_names
from netappliance.http import filters as request_filters
from netappliance.http.filters import BUILTIN, Resources, build_filters
from netappliance.interfaces import IRequestFilterKind
from netappliance.udp import filters as datagram_filters

UDP = "[cluster c]\nbackends = 127.0.0.1:1\n[udp game]\nlisten = udp:0:interface=127.0.0.1\ncluster = c\nfilters = {}\n"


class Both:
    """A class for kind = python of either family."""

    def read(self, datagram: object) -> None:
        """Pass."""

    def write(self, datagram: object) -> None:
        """Pass."""

    def request(self, exchange: object) -> None:
        """Pass."""


class FamilyTests(SynchronousTestCase):
    """Names and building."""

    def test_every_request_filter_provides_its_interface(self) -> None:
        """And no datagram filter has its name, but for python, whose options are the same."""
        for kind in BUILTIN:
            verifyObject(IRequestFilterKind, kind)
            self.assertEqual({option.key for option in options_of(kind.schema)} & {"kind"}, {"kind"})
        shared = set(datagram_filters.filter_names()) & set(request_filters.filter_names())
        self.assertEqual(shared, {"python"})
        self.assertIs(datagram_filters.filter_kind("python").schema, request_filters.filter_kind("python").schema)

    def test_a_section_s_kind_may_be_of_either_family(self) -> None:
        """And an unknown one is told both lists."""
        for name in filter_names():
            self.assertIn(name, [filter_kind(name).name, *filter_kind(name).aliases])
        raws, _ = parse("[filter a]\nkind = captur\n")
        problem = FilterKind().schema_for(raws[0])
        assert isinstance(problem, ConfigProblem)
        self.assertIn("did you mean 'capture'", problem.why)
        for word in ("for [udp]: capture", "for [route]: "):
            self.assertIn(word, problem.expected or "")

    def test_a_datagram_service_cannot_use_a_request_filter(self) -> None:
        """And is told what it can use."""
        text = UDP.format("gate") + "[filter gate]\nkind = deny\n"
        error = str(self.assertRaises(ConfigErrors, load, text, "f.ini", section_kinds()))
        self.assertIn("[udp game] filters: gate is no filter that can be used", error)
        self.assertIn("a filter for [udp], which kind = deny is not: capture | token_router", error)

    def test_a_route_cannot_use_a_datagram_filter(self) -> None:
        """The same the other way round."""
        text = "[filter cut]\nkind = capture\nsize = 1\n"
        configuration = load(text, "f.ini", section_kinds())
        resources = Resources(random.Random(1), 0.0)
        error = str(self.assertRaises(ValueError, build_filters, ["cut"], configuration, resources))
        self.assertIn("a filter for [route], which kind = capture is not", error)

    def test_a_route_s_filters_are_built_before_the_start(self) -> None:
        """Unknown ones, the other family's, and those that cannot be made."""
        text = "[filter cut]\nkind = capture\nsize = 1\n[filter h]\nkind = hsts\npreload = yes\n"
        text += "[route r]\nhost = a.example\nfilters = cut, h, denny, hsts, deny, redirect\n"
        error = str(self.assertRaises(ConfigErrors, load, text, "f.ini", section_kinds()))
        for line in (
            "cut is no filter that can be used (expected a filter for [route], which kind = capture is not: redirect",
            "h is no filter that can be used (expected preload: needs include_subdomains",
            "denny is no filter that can be used; did you mean 'deny'?",
            "redirect is no filter that can be used (expected a [filter NAME] section: kind = redirect needs to;",
        ):
            self.assertIn(f"[route r] filters: {line}", error)
        self.assertEqual(error.count("[route r]"), 4)

    def test_one_class_may_serve_both(self) -> None:
        """kind = python is looked at by who uses it."""
        python = "[filter mine]\nkind = python\nclass = tests.filters.test_kind:Both\n"
        configuration = load(UDP.format("mine") + python, "f.ini", section_kinds())
        ((name, made),) = build_filters(["mine"], configuration, Resources(random.Random(1), 0.0))
        self.assertEqual((name, type(made)), ("mine", Both))

    def test_a_field_that_the_listener_writes_cannot_be_edited_too(self) -> None:
        """The backend would have two; without it among identity_headers it can."""
        text = "[http web]\nlisten = tcp:0:interface=127.0.0.1\n{}[route r]\nfilters = f\n"
        users = f"kind = basic_auth\nusers = bob:{'a' * 64}"
        text += "[filter f]\nkind = headers\nedits =\n both set x-forwarded-proto: https\n response set X-Real-IP: 1\n"
        error = str(self.assertRaises(ConfigErrors, load, text.format(""), "f.ini", section_kinds()))
        self.assertIn("[route r] filters: f edits x-forwarded-proto, which [http web] writes itself", error)
        self.assertNotIn("X-Real-IP", error)
        load(text.format("identity_headers = x-real-ip\n"), "f.ini", section_kinds())
        for edit in ("kind = headers\nedits = request set X-Real_IP: 1", f"{users}\nuser_header = X-Real-IP"):
            twin = text.partition("kind = headers")[0].format("identity_headers = x-real-ip\n") + edit
            self.assertIn(
                "which [http web] writes", str(self.assertRaises(ConfigErrors, load, twin, "f.ini", section_kinds()))
            )
        odd = "identity_headers =\nsession_header = X-Forwarded-Proto\n"
        self.assertRaises(ConfigErrors, load, text.format(odd), "f.ini", section_kinds())
