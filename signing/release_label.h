/* SPDX-License-Identifier: MIT
 *
 * The label of release signatures (see key.h), shared by the signer and the verifier and by nobody else. A
 * changed label is a changed format: docs/formats.md, "Packs and releases".
 */
#pragma once

#define RELEASE_LABEL "kontor/release/v1"
