/* SPDX-License-Identifier: MIT
 *
 * The broker's own key, <data>/keys/broker.key: who it is to other brokers, whatever its name and address. It
 * is made on the first start, readable by its owner only, and is one of the few files that cannot be made
 * again (docs/operations.md, Backup).
 */
#pragma once

#include "signing/key.h"

/* Reads the key below `data_dir`, or makes one (the directory 0700, the file 0600, both on disk when this
 * returns). `name` goes into a new file. DENIED when others may read the file or it has a passphrase, which
 * nobody is there to type; errors of key_file_parse; IO. Messages name the file. The caller owns the key. */
SecretKey *broker_key_load(const char *data_dir, const char *name, GError **error);
