/* SPDX-License-Identifier: MIT */
#include "broker/net/wheel.h"

static gint64 second_of(gint64 us)
{
    return us / G_USEC_PER_SEC;
}

void wheel_init(Wheel *wheel, gint64 now_us)
{
    *wheel = (Wheel){.done_second = second_of(now_us) - 1};
}

void wheel_cancel(WheelEntry *entry)
{
    if (entry->link == NULL)
        return;
    *entry->link = entry->next;
    if (entry->next != NULL)
        entry->next->link = entry->link;
    entry->link = NULL;
    entry->next = NULL;
}

static void link_entry(Wheel *wheel, WheelEntry *entry)
{
    /* One second later than the deadline's own, so that the slot is never looked at before the deadline has
     * passed. */
    gint64 second = MAX(second_of(entry->deadline_us) + 1, wheel->done_second + 1);
    /* Only after a long stop is a deadline farther ahead than the ring; then it is looked at too early, found
     * not due, and put in again. */
    second = MIN(second, wheel->done_second + WHEEL_SLOTS - 1);
    WheelEntry **slot = &wheel->slots[second % WHEEL_SLOTS];
    entry->slot_second = second;
    entry->next = *slot;
    entry->link = slot;
    if (*slot != NULL)
        (*slot)->link = &entry->next;
    *slot = entry;
}

void wheel_set(Wheel *wheel, WheelEntry *entry, gint64 deadline_us)
{
    entry->deadline_us = deadline_us;
    if (entry->link != NULL && entry->slot_second <= second_of(deadline_us) + 1)
        return;
    wheel_cancel(entry);
    link_entry(wheel, entry);
}

WheelEntry *wheel_expire(Wheel *wheel, gint64 now_us)
{
    for (gint64 now = second_of(now_us); wheel->done_second < now;) {
        WheelEntry *entry = wheel->slots[(wheel->done_second + 1) % WHEEL_SLOTS];
        if (entry == NULL) {
            wheel->done_second++;
            continue;
        }
        wheel_cancel(entry);
        if (entry->deadline_us <= now_us)
            return entry;
        /* Its deadline moved on meanwhile; this slot counts as done for it. */
        wheel->done_second++;
        link_entry(wheel, entry);
        wheel->done_second--;
    }
    return NULL;
}
