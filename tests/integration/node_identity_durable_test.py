# SPDX-License-Identifier: MIT
"""Who owns a Node's name survives everything: restarts, kill -9 at any moment, and time without that Node."""
import threading

from lib import broker, node


class Durable(broker.BrokerTest):
    def serving(self):
        return self.broker(config="limits: {register_per_minute: 0}\n")

    def steal(self, kontor, victim):
        """The answer to a stranger who claims a name with a key of his own."""
        thief = node.Identity(f"thief of {victim.node_id}")
        with node.Socket(kontor) as socket:
            return socket.ask(thief.register_message(socket.nonce, node_id=victim.node_id,
                                                     signature=thief.sign(socket.nonce, victim.node_id)))

    def assert_owned(self, kontor, victim):
        self.assertEqual(self.steal(kontor, victim), {"type": "error", "error": "node_id_owned_by_another_key"}, victim.node_id)

    def test_a_clean_restart(self):
        kontor = self.serving()
        owners = [node.Identity(f"clean-{i}") for i in range(30)]
        for owner in owners:
            node.Agent(kontor, owner).abort()
        for _ in range(2):
            kontor.stop()
            kontor.start()
            for owner in owners:
                self.assert_owned(kontor, owner)
                node.Agent(kontor, owner).abort()

    def test_a_kill_right_after_the_answer(self):
        """Whoever was told "registered" owns the name, even if the power fails in the next moment."""
        kontor = self.serving()
        owners = []
        for number in range(6):
            owner = node.Identity(f"sudden-{number}")
            agent = node.Agent(kontor, owner)
            kontor.kill()
            agent.abort()
            owners.append(owner)
            kontor.start()
        for owner in owners:
            self.assert_owned(kontor, owner)

    def test_a_kill_in_the_middle_of_many_registrations(self):
        kontor = self.serving()
        told, lock = [], threading.Lock()

        def register(group):
            for number in range(10000):
                identity = node.Identity(f"storm-{group}-{number}")
                try:
                    with node.Agent(kontor, identity):
                        with lock:
                            told.append(identity)
                except Exception:  # pylint: disable=broad-except
                    return

        threads = [threading.Thread(target=register, args=(group,)) for group in range(4)]
        for thread in threads:
            thread.start()
        broker.wait_until(lambda: len(told) > 100, "registrations")
        kontor.kill()
        for thread in threads:
            thread.join()
        kontor.start()
        for owner in told:
            self.assert_owned(kontor, owner)
        for owner in told[-10:]:
            node.Agent(kontor, owner).abort()


if __name__ == "__main__":
    broker.main()
