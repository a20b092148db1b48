/* SPDX-License-Identifier: MIT
 *
 * The keys of kontor.yaml as one table, from which both reading and printing are derived, so that what is
 * printed can be read and no key is known to one and not to the other. Internal to broker/config.
 */
#pragma once

#include "broker/config.h"
#include "schema/yamldoc.h"

/* Fills `config` (which holds the defaults and its data_dir) from a document. Every complaint names file and
 * line. Only values by themselves are checked, not how they fit together. */
gboolean config_keys_read(Config *config, const YamlNode *root, GError **error);
/* Every value as YAML; a new string. */
char *config_keys_write(const Config *config);
/* Every key as "section.key" or "key" in table order, NULL-terminated; free with g_strfreev. For checking the
 * documentation against the program. */
char **config_keys_list(void);

/* A new list of ConfigAddress that owns its items. */
GArray *config_addresses_new(void);
/* TRUE for a name that signed notes can carry: UTF-8, 1 to 128 bytes, without white space, controls, "+" and
 * "/". */
gboolean config_name_is_valid(const char *name);
/* Sets api and api_enabled from "off" or a loopback address; anything else is refused. */
gboolean config_api_parse(Config *config, const char *text, GError **error);
