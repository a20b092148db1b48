# SPDX-License-Identifier: MIT
"""What is left of the mirrors when their files are damaged, taken away or cannot be written: while the broker is stopped, and while it
serves. It always starts, serves what verifies and nothing else, says what is wrong, and fetches again what it can.
"""
import os
import shutil

from lib import broker, mirror_world

PATHS = ["history/greece", "history/rome", "science/optics"]


class Damage(mirror_world.MirrorTest):
    def setUp(self):
        super().setUp()
        self.library = self.world.repository("library", self.anna)
        self.library.write_many(PATHS)
        self.library.commit()
        # Nothing comes by itself: whatever is fetched again is fetched because something was found.
        self.broker = self.member("a").mirror("library", self.library, interval="1h")
        self.broker.start()
        self.wait_versions(self.broker, self.all())
        self.store = self.broker.data / "store"

    @staticmethod
    def all():
        return dict.fromkeys(PATHS, "1.0.0")

    def release(self, path):
        digest = self.broker.catalog()[path]["digest"]
        return self.store / "releases" / digest

    @staticmethod
    def spoil(release):
        page = release / "wiki/index.md"
        page.chmod(0o644)
        page.write_text("# Something else\n")

    def healed(self, served=None):
        self.broker.wait_serving()
        self.wait_versions(self.broker, served or self.all())
        self.broker.verified()

    def test_missing_at_the_start(self):
        release = self.release("history/rome")
        self.broker.stop()
        shutil.rmtree(release)
        self.broker.start()
        self.healed()
        self.assertIn('"event":"mirror-damaged"', self.broker.log())

    def test_all_missing_at_the_start(self):
        self.broker.stop()
        shutil.rmtree(self.store / "releases")
        self.broker.start()
        self.healed()

    def test_damaged_at_the_start(self):
        release = self.release("history/rome")
        self.broker.stop()
        self.spoil(release)
        self.broker.start()
        self.healed()
        self.assertEqual(len(os.listdir(self.store / "quarantine")), 1)

    def test_found_by_a_reader(self):
        shutil.rmtree(self.release("history/rome"))
        self.broker.get("/packs/history/rome/wiki/concepts/page-1.md")
        broker.wait_until(lambda: '"event":"mirror-damaged"' in self.broker.log(), "the damage to be noticed")
        self.healed()
        self.assertEqual(self.broker.get("/packs/history/rome/wiki/concepts/page-1.md").status, 200)


if __name__ == "__main__":
    broker.main()
