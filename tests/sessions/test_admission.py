"""The process-wide limit on connections."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.sessions.admission import Admission


class AdmissionTests(SynchronousTestCase):
    """Full at the limit, open again below nine tenths."""

    def test_the_gate_closes_at_the_limit_and_opens_below_90_percent(self) -> None:
        """Ten places: the gate stays closed at nine, opens at eight."""
        gate = Admission(10)
        resumed: list[int] = []
        gate.on_resume(lambda: resumed.append(gate.active))
        self.assertEqual([gate.admit() for _ in range(11)], [True] * 10 + [False])
        gate.release()
        self.assertFalse(gate.admit())
        gate.release()
        self.assertEqual((resumed, gate.admit()), ([8], True))

    def test_a_limit_of_one_works(self) -> None:
        """Rounding must not keep it closed for ever."""
        gate = Admission(1)
        self.assertTrue(gate.admit())
        self.assertFalse(gate.admit())
        gate.release()
        self.assertTrue(gate.admit())

    def test_lowering_the_limit_keeps_what_is_there(self) -> None:
        """New ones wait until enough have gone."""
        gate = Admission(10)
        for _ in range(6):
            gate.admit()
        gate.set_limit(3)
        self.assertEqual((gate.active, gate.admit()), (6, False))
