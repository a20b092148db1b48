/* SPDX-License-Identifier: MIT
 *
 * The instructions keep the eight words a … h in two registers: {a, b, e, f} and {c, d, g, h}, from the
 * highest lane to the lowest. `sha256rnds2` does two rounds with the two lowest words of its third operand
 * and gives the new {a, b, e, f}; the former one is the new {c, d, g, h}. `sha256msg1` and `sha256msg2` are
 * the two halves of the message schedule, four words at a time: the words 16, 15, 7 and 2 places back make a
 * new one.
 */
#include "signing/sha256_x86.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#define BLOCK_BYTES 64
#define LENGTH_BYTES 8 /* at the end of the last block: the number of bits */
#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))

static const guint32 round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

typedef struct {
    __m128i abef, cdgh;
} State;

gboolean sha256_x86_is_usable(void)
{
    static gsize answer; /* 1: no, 2: yes */
    if (g_once_init_enter(&answer)) {
        guint a = 0, b = 0, c = 0, d = 0;
        gboolean has_sse = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSSE3) != 0 && (c & bit_SSE4_1) != 0;
        gboolean has_sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA) != 0;
        g_once_init_leave(&answer, has_sse && has_sha ? 2 : 1);
    }
    return answer == 2;
}

/* Four words of the message, which are big-endian. */
WITH_SHA static inline __m128i load_words(const guint8 *at)
{
    const __m128i order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)at), order);
}

/* The next four words of the schedule from the sixteen before, of which `words` holds the latest. */
WITH_SHA static inline __m128i next_words(const __m128i words[4], guint i)
{
    __m128i latest = words[(i + 3) % 4];
    __m128i seven_back = _mm_alignr_epi8(latest, words[(i + 2) % 4], 4);
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(words[i % 4], words[(i + 1) % 4]), seven_back);
    return _mm_sha256msg2_epu32(sum, latest);
}

WITH_SHA static void take_block(State *state, const guint8 *block)
{
    const State before = *state;
    __m128i words[4];
#pragma GCC unroll 16
    for (guint i = 0; i < 16; i++) {
        words[i % 4] = i < 4 ? load_words(block + 16 * (gsize)i) : next_words(words, i);
        __m128i constants = _mm_loadu_si128((const __m128i *)(const void *)&round_constants[4 * i]);
        __m128i sum = _mm_add_epi32(words[i % 4], constants);
        state->cdgh = _mm_sha256rnds2_epu32(state->cdgh, state->abef, sum);
        state->abef = _mm_sha256rnds2_epu32(state->abef, state->cdgh, _mm_unpackhi_epi64(sum, sum));
    }
    state->abef = _mm_add_epi32(state->abef, before.abef);
    state->cdgh = _mm_add_epi32(state->cdgh, before.cdgh);
}

/* The rest of the message, a one bit, zeros and the length: one block or two. */
WITH_SHA static void take_end(State *state, const guint8 *rest, gsize rest_len, guint64 len)
{
    guint8 end[2 * BLOCK_BYTES] = {0};
    gsize size = rest_len + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    guint64 bits = GUINT64_TO_BE(len * 8);
    if (rest_len > 0)
        memcpy(end, rest, rest_len);
    end[rest_len] = 0x80;
    memcpy(end + size - LENGTH_BYTES, &bits, LENGTH_BYTES);
    for (gsize at = 0; at < size; at += BLOCK_BYTES)
        take_block(state, end + at);
}

WITH_SHA void sha256_x86(const void *data, gsize len, guint8 ret_digest[SHA256_BYTES])
{
    const guint8 *bytes = data;
    gsize rest_len = len % BLOCK_BYTES, whole_len = len - rest_len;
    guint32 lanes[8];
    State state = {
        .abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c),
        .cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19),
    };
    for (gsize at = 0; at < whole_len; at += BLOCK_BYTES)
        take_block(&state, bytes + at);
    take_end(&state, rest_len > 0 ? bytes + whole_len : NULL, rest_len, len);
    _mm_storeu_si128((__m128i *)(void *)lanes, state.abef);
    _mm_storeu_si128((__m128i *)(void *)(lanes + 4), state.cdgh);
    const guint32 words[8] = {lanes[3], lanes[2], lanes[7], lanes[6], lanes[1], lanes[0], lanes[5], lanes[4]};
    for (guint i = 0; i < G_N_ELEMENTS(words); i++) {
        guint32 word = GUINT32_TO_BE(words[i]);
        memcpy(ret_digest + 4 * (gsize)i, &word, sizeof word);
    }
}

#else

gboolean sha256_x86_is_usable(void)
{
    return FALSE;
}

void sha256_x86(const void *data G_GNUC_UNUSED, gsize len G_GNUC_UNUSED,
                guint8 ret_digest[SHA256_BYTES] G_GNUC_UNUSED)
{
    g_assert_not_reached();
}

#endif
