/* SPDX-License-Identifier: MIT
 *
 * The service manager's notification protocol (sd_notify(3)): one datagram per message to the socket in
 * $NOTIFY_SOCKET. Without that variable everything here does nothing. The protocol is stable and a dozen
 * lines long, hence no libsystemd. Main thread only.
 */
#pragma once

#include <glib.h>

/* Sends "READY=1", "STOPPING=1", "WATCHDOG=1" and the like, several separated by newlines. */
void systemd_notify(const char *message);
/* Microseconds between watchdog messages that the manager expects of this process; 0 = none. */
guint64 systemd_watchdog_us(void);
