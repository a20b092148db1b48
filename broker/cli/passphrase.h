/* SPDX-License-Identifier: MIT
 *
 * Passphrases of sealed keys: from a descriptor that the caller opened, or from the terminal without echo;
 * never from the command line, which every user of the machine can read. Results are freed, and wiped, with
 * secret_free (signing/key.h).
 */
#pragma once

#include "schema/error.h"

/* The next line of the descriptor, without its end; nothing behind that line is read. MALFORMED when it is
 * empty or has a NUL, LIMIT beyond LIMIT_PASSPHRASE_BYTES, IO. */
char *passphrase_read(int fd, GError **error);
/* Asks on the terminal of the process; `twice` for a new one, MALFORMED when both differ. DENIED when there
 * is no terminal. A signal while asking gives the terminal its echo back before it takes effect. */
char *passphrase_ask(const char *prompt, gboolean twice, GError **error);
