/* SPDX-License-Identifier: MIT
 *
 * `mirrors:` and `peers:` of kontor.yaml: lists of mappings, each of which becomes a MirrorSource. One table
 * serves reading and printing, as in config_keys.h. Internal to broker/config, except for the names of keys,
 * by which the command line writes items.
 */
#pragma once

#include "broker/config.h"
#include "schema/yamldoc.h"

/* Appends the items of `list` to config->sources, and to config->warnings what is odd about them. The rest of
 * the configuration has been read: `signed.mirrors` is the default of an item's `signed`. Every complaint
 * names file, line and key. */
gboolean config_sources_read(Config *config, SourceKind kind, const YamlNode *list, GError **error);
/* Appends the value of the key, either " []" or a block list, without what ends its last line. */
void config_sources_write(const Config *config, SourceKind kind, GString *out);

/* "mirrors" or "peers". */
const char *config_sources_key(SourceKind kind);
/* The keys of an item of that kind; borrowed members, the array is freed with g_free. */
const char **config_sources_keys(SourceKind kind);

/* A key as `peers` has it: base64 of 32 bytes, or a verifier key of signed notes, which also tells the name.
 * *ret_name is a new string or NULL. MALFORMED or UNSUPPORTED. */
gboolean config_peer_key_parse(const char *text, PublicKey *ret_key, char **ret_name, GError **error);
/* The form that config_peer_key_parse reads back; a new string. */
char *config_peer_key_print(const PublicKey *key, const char *name);
