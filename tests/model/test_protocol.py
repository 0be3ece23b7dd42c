"""Every interleaving of the protocol keeps its promises, and every wrong variant is caught."""
import unittest

import protocol

DEPTH = 12


class ProtocolTest(unittest.TestCase):
    def test_acknowledged_events_have_exactly_one_effect(self):
        found, way, states = protocol.search(depth=DEPTH)
        print(f"# {states} states to depth {DEPTH}, each also run to its end", flush=True)
        self.assertIsNone(found, way)
        self.assertGreater(states, 10000)

    def caught(self, wrong, *kinds):
        found, way, states = protocol.search(wrong, depth=DEPTH + 4)
        print(f"# {wrong} ({protocol.VARIANTS[wrong]}): {found} after {', '.join(way)} ({states} states)", flush=True)
        self.assertIn(found, kinds)

    def test_every_variant_is_tested(self):
        names = {n.removeprefix("test_caught_").replace("_", " ") for n in dir(self) if n.startswith("test_caught_")}
        self.assertEqual(names, set(protocol.VARIANTS))

    def test_caught_ack_before_sync(self):
        self.caught("ack before sync", "acknowledged and lost")

    def test_caught_position_apart(self):
        self.caught("position apart", "acknowledged and lost", "lost although the sender retries")

    def test_caught_log_recycled_early(self):
        self.caught("log recycled early", "acknowledged and lost", "lost although the sender retries")

    def test_caught_tail_not_synced(self):
        self.caught("tail not synced", "acknowledged and lost")

    def test_caught_key_not_stored(self):
        self.caught("key not stored", "done twice", "acknowledged and lost", "lost although the sender retries")

    def test_caught_new_key_per_try(self):
        self.caught("new key per try", "done twice")

    def test_caught_call_before_sync(self):
        self.caught("call before sync", "done twice")

    def test_caught_keys_forgotten(self):
        self.caught("keys forgotten", "done twice")


if __name__ == "__main__":
    unittest.main()
