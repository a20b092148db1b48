/* SPDX-License-Identifier: MIT
 *
 * SHA-256 (FIPS 180-4) by the instructions that x86 processors have for it, five times as fast as libsodium's
 * portable code. Mirroring hashes every file two or three times, which is what it would otherwise wait for.
 * Only sha256() of hash.h calls this; what it hashes is public or random, and neither branches nor addresses
 * depend on it. On other processors there is nothing here to call.
 */
#pragma once

#include "signing/hash.h"

/* TRUE when the processor has the instructions. The same every time; costs an atomic load. */
gboolean sha256_x86_is_usable(void);
/* Only where it is usable. */
void sha256_x86(const void *data, gsize len, guint8 ret_digest[SHA256_BYTES]);
