/* SPDX-License-Identifier: MIT
 *
 * The broker's own trust list: reads the file that `trust` in kontor.yaml names.
 */
#pragma once

#include "signing/trust_list.h"

/* A file that does not exist is an empty list: nobody is trusted. Entries that are skipped are logged
 * (trust-entry-skipped). NULL with the errors of trust_list_parse, or IO and DENIED; messages name the file.
 */
TrustList *trust_file_load(const char *path, GError **error);
/* The same for those who look often: nothing is logged. */
TrustList *trust_file_read(const char *path, GError **error);
