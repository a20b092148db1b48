/* SPDX-License-Identifier: MIT
 *
 * GET /metrics: Prometheus text (version 0.0.4). Made on a worker, since it reads /proc and adds up the
 * counters of all threads.
 */
#pragma once

#include "broker/serve/fetch.h"

Resource *metrics_resource(const FetchInput *input, GError **error);
