/* SPDX-License-Identifier: MIT
 *
 * The text that OCC software makes of a YAML scalar: it loads files with PyYAML's safe loader, which turns
 * plain scalars into null, switches, numbers and dates by the rules of YAML 1.1, and then applies Python's
 * str(). So "summary: 0x10" is shown as "16" and "fetched: 2026-01-02" as "2026-01-02".
 *
 * Where a value has no such text (a date that does not exist, a number beyond 64 bits), the text as written
 * is used. Pure functions.
 */
#pragma once

#include "schema/yamldoc.h"

/* The text of a scalar (asserted), a new string; NULL for null. */
char *yaml_str_scalar(const YamlNode *scalar);
