/* SPDX-License-Identifier: MIT
 *
 * GET /v1/broker/status: the state of the broker for its operator (kontor status). Made on a worker.
 */
#pragma once

#include "broker/serve/fetch.h"

Resource *broker_status_resource(const FetchInput *input, GError **error);
