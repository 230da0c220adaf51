"""
Plug-ins live here: ours in ``builtin``, those of other distributions in files of their own.

A distribution adds a plug-in by shipping ``netappliance/plugins/its_name.py`` without ``__init__.py`` (see
docs/plugins.md).
"""

from __future__ import annotations

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__: list[str] = []
