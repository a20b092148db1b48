/* SPDX-License-Identifier: MIT
 *
 * Deadlines of many connections in one thread, at a cost that does not depend on how many there are.
 *
 * A ring of one-second slots. Moving a deadline later only stores it: the entry stays in its old slot and is
 * put where it belongs when that slot comes up. So a busy keep-alive connection, whose idle deadline moves
 * with every request, never touches the ring. Deadlines are met to the second and never early. Not shared
 * between threads.
 */
#pragma once

#include <glib.h>

#define WHEEL_SLOTS 256 /* seconds ahead that a deadline can be; all of schema/limits.h are shorter */

typedef struct WheelEntry WheelEntry;
struct WheelEntry {
    WheelEntry *next, **link; /* link: what points to this entry; NULL when it is in no slot */
    gint64 slot_second;
    gint64 deadline_us;
};

typedef struct {
    WheelEntry *slots[WHEEL_SLOTS];
    gint64 done_second; /* everything up to here was looked at */
} Wheel;

void wheel_init(Wheel *wheel, gint64 now_us);
/* Sets or changes the deadline (monotonic µs; should be at most WHEEL_SLOTS − 2 seconds ahead of the last
 * wheel_expire, or else the entry is touched once per round of the ring). */
void wheel_set(Wheel *wheel, WheelEntry *entry, gint64 deadline_us);
/* Takes the entry out; fine when it is in no slot. */
void wheel_cancel(WheelEntry *entry);
/* Takes one entry whose deadline has passed, or NULL when there is none left: call until NULL. */
WheelEntry *wheel_expire(Wheel *wheel, gint64 now_us);
