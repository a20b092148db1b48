/* SPDX-License-Identifier: MIT
 *
 * The life of `kontor serve`: loads the configuration, takes the data directory, makes the parts of the
 * broker in order, waits for signals, and takes the parts down again.
 *
 *   main thread   signals, watchdog          state actor   registrations, identity.db
 *   io-N          connections                indexer       scans, index.db, publishing of catalogs
 *   workers       disk reads, searches       mirror        mirror.db, the agent process
 */
#pragma once

#include "broker/config.h"

/* Serves until SIGTERM or SIGINT. Returns the exit status: 0 after an orderly stop, 1 when it could not start
 * (port in use, data directory taken, damaged identity.db), 2 for a bad configuration; the reason is on
 * standard error. */
int server_run(const ConfigOverrides *overrides);
