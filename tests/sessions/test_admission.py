"""The process-wide limit on connections."""

from __future__ import annotations

from functools import partial

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

    def test_it_opens_below_nine_tenths_and_tells_so_once(self) -> None:
        """Rounded down; who waits is told when the gate opens, not at each release."""
        for limit, opens_at in ((1, 0), (2, 0), (3, 1), (10, 8), (19, 16), (20, 17), (100, 89)):
            gate = Admission(limit)
            told: list[bool] = []
            gate.on_resume(partial(told.append, True))
            for _ in range(limit):
                gate.admit()
            self.assertFalse(gate.open)
            for active in reversed(range(limit)):
                gate.release()
                self.assertEqual(gate.open, active <= opens_at, (limit, active))
            self.assertEqual(told, [True], limit)

    def test_it_counts_how_often_it_was_full(self) -> None:
        """Each time that the limit is reached, not each refusal."""
        gate = Admission(2)
        self.assertEqual((gate.active, gate.full_total, gate.open), (0, 0, True))
        for _ in range(2):
            self.assertEqual([gate.admit() for _ in range(4)], [True, True, False, False])
            gate.release()
            gate.release()
        self.assertEqual((gate.active, gate.full_total), (0, 2))

    def test_raising_the_limit_opens_the_gate(self) -> None:
        """As soon as there is a place; a limit that is just reached keeps it closed."""
        gate = Admission(2)
        gate.admit()
        gate.admit()
        gate.set_limit(2)
        self.assertFalse(gate.open)
        gate.set_limit(3)
        self.assertEqual([gate.admit(), gate.admit()], [True, False])
