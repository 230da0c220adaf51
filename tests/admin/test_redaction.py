"""What /config does not show."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.admin.redaction import redact

CONFIG = """\
[admin]
token_file = var/token
listen = tcp:9901:interface=127.0.0.1

[cluster game]
backends =
    127.0.0.1:26001 id=a token=c2VjcmV0 weight=3 token=b3RoZXI=
    127.0.0.1:26002 id=b
health_check = http uri=/healthz

[filter auth]
kind = basic_auth
users =
    alice:hunter2
    bob:hunter3
realm = us
metadata_key = token
password = hunter4
empty_password =
upstream = http://me:hunter5@example.test/x
"""


class RedactionTests(SynchronousTestCase):
    """Secrets out, the rest as it was."""

    def test_secrets_are_hidden(self) -> None:
        """No secret is left, in one line or in several."""
        shown = redact(CONFIG)
        for secret in ("hunter", "alice", "c2VjcmV0", "b3RoZXI"):
            self.assertNotIn(secret, shown)

    def test_the_rest_stays(self) -> None:
        """Everything else is as it was, and so is the number of lines."""
        shown = redact(CONFIG)
        for kept in (
            "token_file = var/token",
            "metadata_key = token",
            "127.0.0.1:26001 id=a token=(hidden) weight=3 token=(hidden)",
            "realm = us",
            "empty_password =\n",
            "http://(hidden)@example.test/x",
            "health_check = http uri=/healthz",
        ):
            self.assertIn(kept, shown)
        self.assertEqual(len(shown.splitlines()), len(CONFIG.splitlines()))

    @settings(deadline=None, max_examples=100)
    @given(
        st.text(alphabet=st.characters(codec="ascii", exclude_characters=" \t,;\r\n\x0b\x0c\x1c\x1d\x1e"), min_size=4)
    )
    def test_no_value_of_a_secret_key_survives(self, value: str) -> None:
        """Whatever the secret looks like."""
        marked = f"s3cr3t{value}"
        for line in (f"password = {marked}", f"backends = h:1 token={marked} id=a", f"users =\n    {marked}\n"):
            self.assertNotIn("s3cr3t", redact(line))
