# SPDX-License-Identifier: MIT
"""What is left of the mirrors when their files are damaged, taken away or cannot be written: while the broker is stopped, and while it
serves. It always starts, serves what verifies and nothing else, says what is wrong, and fetches again what it can.
"""
import contextlib
import os
import shutil
import signal
import sqlite3

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

    # --- mirror.db ---

    def restart_with(self, spoil):
        self.broker.stop()
        spoil(self.store / "mirror.db")
        self.broker.start()
        self.healed()
        self.assertIn('"event":"mirror-database-damaged"', self.broker.log())
        self.assertEqual(len([name for name in os.listdir(self.store) if ".damaged-" in name]), 1)

    def test_database_of_nonsense(self):
        self.restart_with(lambda path: path.write_bytes(b"nonsense" * 1000))

    def test_database_cut(self):
        self.restart_with(lambda path: os.truncate(path, path.stat().st_size // 2))

    def test_database_keeps_what_it_can(self):
        """A damaged table of history costs nothing of what is held: an older release is still refused, what is served is served on."""
        self.library.write("history/rome")
        self.library.commit()
        self.broker.sync("library")
        self.broker.stop()
        # The sources are unreachable now: whatever is served comes from what could be read.
        self.library.root.rename(self.world.root / "away")
        with contextlib.closing(sqlite3.connect(self.store / "mirror.db")) as database:
            page = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'history'").fetchone()[0]
            size = database.execute("PRAGMA page_size").fetchone()[0]
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with open(self.store / "mirror.db", "r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)
        self.broker.start()
        self.healed({**self.all(), "history/rome": "2.0.0"})
        (self.world.root / "away").rename(self.library.root)
        self.library.git("reset", "-q", "--hard", "HEAD~1")
        self.broker.sync("library")
        self.assertEqual(self.broker.versions(), {**self.all(), "history/rome": "2.0.0"})
        self.assertIn("rollback", [row["rule"] for row in self.broker.history()])

    def test_database_of_a_newer_version(self):
        self.broker.stop()
        with contextlib.closing(sqlite3.connect(self.store / "mirror.db")) as database:
            database.execute("PRAGMA user_version = 99")
        done = broker.run("serve", "--data", self.broker.data)
        self.assertEqual((done.returncode, "written by a newer kontor" in done.stderr), (1, True), done.stderr)
        with contextlib.closing(sqlite3.connect(self.store / "mirror.db")) as database:
            database.execute("PRAGMA user_version = 1")
        self.broker.start()
        self.healed()

    # --- The configuration ---

    def reload(self, **options):
        self.broker.mirrors.clear()
        self.broker.mirror("library", self.library, interval="1h", **options)
        self.broker.signal(signal.SIGHUP)

    def test_tightened_while_the_source_is_away(self):
        """What the operator no longer wants is not served, whether the source can be asked or not."""
        self.library.root.rename(self.world.root / "away")
        self.reload(include=["science/**"])
        self.wait_versions(self.broker, {"science/optics": "1.0.0"})

    def test_private_once_reloaded(self):
        """When the reload is said to be done, a source that became private, or went, is not seen for another instant."""
        for turn in range(6):
            self.reload(visibility="private" if turn % 2 == 0 else "public")
            broker.wait_until(lambda: self.broker.log().count('"event":"reloaded"') == turn + 1, "the reload")
            if turn % 2 == 0:
                self.assertEqual(self.broker.versions(), {})
                self.assertEqual(self.broker.get("/packs/history/rome/wiki/index.md").status, 404)
            else:
                self.wait_versions(self.broker, self.all())
        self.broker.mirrors.clear()
        self.broker.describe().signal(signal.SIGHUP)
        broker.wait_until(lambda: self.broker.log().count('"event":"reloaded"') == 7, "the reload")
        self.assertEqual(self.broker.versions(), {})
        self.assertNotIn("reload-mirrors-late", self.broker.log())

    def test_reload_that_cannot_be_stored_yet(self):
        """A reload for which mirror.db cannot be written is not forgotten."""
        with contextlib.closing(sqlite3.connect(self.store / "mirror.db", isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            self.broker.mirrors.clear()
            self.broker.describe().signal(signal.SIGHUP)
            broker.wait_until(lambda: '"event":"mirror-reload"' in self.broker.log(), "the reload to fail")
            self.assertEqual(self.broker.versions(), self.all())
        self.wait_versions(self.broker, {})

    def test_policy_tightened_while_the_source_is_away(self):
        mirror_world.lay_pack(self.library.packs, "plain", "1.0.0")
        self.library.commit()
        self.reload(signed="preferred")
        self.wait_versions(self.broker, {**self.all(), "plain": "1.0.0"})
        self.library.root.rename(self.world.root / "away")
        self.reload(signed="required")
        self.wait_versions(self.broker, self.all())
        self.broker.stop()
        self.broker.start()
        self.broker.wait_serving()
        self.assertEqual(self.broker.versions(), self.all())
        (self.world.root / "away").rename(self.library.root)
        self.reload(signed="off")
        broker.wait_until(lambda: "plain" in self.broker.catalog(), "the unsigned pack to come back")


if __name__ == "__main__":
    broker.main()
