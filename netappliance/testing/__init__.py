"""
Contract tests that authors of plug-ins run in their own suites, and what to call plug-ins with.

Each ``*Contract`` is a mixin for any class of tests (trial, unittest, pytest): derive, override ``make``, run. A
promise that is not kept is an AssertionError that says which; an exception of the plug-in comes through with its
traceback. All of it works alike on the pure and on the compiled build.
"""
