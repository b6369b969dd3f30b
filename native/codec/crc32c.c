/* Implementations of CRC32C, one of which is chosen when the library is loaded.
 *
 * The processors' instruction has a latency of three cycles and a throughput of one, so long inputs are split into three
 * streams that run side by side. Joining them needs "the checksum of this, followed by n zero bytes", which is a linear
 * map over GF(2): a 32 by 32 bit matrix, kept as four tables of 256 words for each of two block lengths. The method is
 * the one Mark Adler described in 2013 (https://stackoverflow.com/a/17646775).
 *
 * Processors that multiply polynomials in vectors fold instead: 16 bytes are replaced by a product that has the same remainder
 * and stands 256 bytes further on, where it is added to the bytes there. What is left in the end is 256 bytes with the checksum of
 * all. The method is that of Gopal, Ozturk, Guilford and others, "Fast CRC Computation for Generic Polynomials Using
 * PCLMULQDQ Instruction" (Intel, 2009). */

#include "crc32c.h"

#include <string.h>

#define POLYNOMIAL UINT32_C(0x82f63b78) /* reflected */

static uint32_t slicing[8][256];

static void build_slicing(void) {
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ POLYNOMIAL : crc >> 1;
        slicing[0][n] = crc;
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int k = 1; k < 8; k++)
            slicing[k][n] = (slicing[k - 1][n] >> 8) ^ slicing[0][slicing[k - 1][n] & 0xff];
}

static uint32_t portable(uint32_t crc, const void *data, size_t length) {
    const uint8_t *at = data;
    crc = ~crc;
    for (; length >= 8; length -= 8, at += 8) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
        crc = slicing[7][low & 0xff] ^ slicing[6][low >> 8 & 0xff] ^ slicing[5][low >> 16 & 0xff] ^
              slicing[4][low >> 24] ^ slicing[3][at[4]] ^ slicing[2][at[5]] ^ slicing[1][at[6]] ^ slicing[0][at[7]];
    }
    for (; length > 0; length--, at++)
        crc = (crc >> 8) ^ slicing[0][(crc ^ *at) & 0xff];
    return ~crc;
}

#if defined(__x86_64__) || defined(__aarch64__)
#define HAS_INSTRUCTION 1
#define LONG_BLOCK 8192
#define SHORT_BLOCK 256

#if defined(__x86_64__)
#include <nmmintrin.h>
#define TARGET __attribute__((target("sse4.2")))
#define STEP_8(crc, value) ((uint32_t)_mm_crc32_u64((crc), (value)))
#define STEP_1(crc, value) ((uint32_t)_mm_crc32_u8((crc), (value)))
static int has_instruction(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
}
#define INSTRUCTION_NAME "sse4.2"
#else
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#define TARGET __attribute__((target("+crc")))
#define STEP_8(crc, value) __builtin_aarch64_crc32cx((crc), (value))
#define STEP_1(crc, value) __builtin_aarch64_crc32cb((crc), (value))
static int has_instruction(void) {
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}
#define INSTRUCTION_NAME "armv8"
#endif

typedef uint32_t shift_table[4][256];
static shift_table shift_long, shift_short;

static uint32_t shift(const shift_table table, uint32_t crc) {
    return table[0][crc & 0xff] ^ table[1][crc >> 8 & 0xff] ^ table[2][crc >> 16 & 0xff] ^ table[3][crc >> 24];
}

/* The map is linear, so the images of the 32 single bits give all others. */
static void build_shift(shift_table table, size_t zeros) {
    uint32_t image[32];
    for (int bit = 0; bit < 32; bit++) {
        uint32_t crc = UINT32_C(1) << bit;
        for (size_t i = 0; i < zeros; i++)
            crc = (crc >> 8) ^ slicing[0][crc & 0xff];
        image[bit] = crc;
    }
    for (int byte = 0; byte < 4; byte++)
        for (uint32_t n = 0; n < 256; n++) {
            uint32_t sum = 0;
            for (int bit = 0; bit < 8; bit++)
                if (n >> bit & 1)
                    sum ^= image[byte * 8 + bit];
            table[byte][n] = sum;
        }
}

static inline uint64_t load_8(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

TARGET static inline uint32_t three_streams(uint32_t crc, const uint8_t *at, size_t block, const shift_table table) {
    uint32_t second = 0, third = 0;
    for (size_t i = 0; i < block; i += 8) {
        crc = STEP_8(crc, load_8(at + i));
        second = STEP_8(second, load_8(at + block + i));
        third = STEP_8(third, load_8(at + 2 * block + i));
    }
    return shift(table, shift(table, crc) ^ second) ^ third;
}

TARGET static uint32_t with_instruction(uint32_t crc, const void *data, size_t length) {
    const uint8_t *at = data;
    crc = ~crc;
    for (; length >= 3 * LONG_BLOCK; length -= 3 * LONG_BLOCK, at += 3 * LONG_BLOCK)
        crc = three_streams(crc, at, LONG_BLOCK, shift_long);
    for (; length >= 3 * SHORT_BLOCK; length -= 3 * SHORT_BLOCK, at += 3 * SHORT_BLOCK)
        crc = three_streams(crc, at, SHORT_BLOCK, shift_short);
    for (; length >= 8; length -= 8, at += 8)
        crc = STEP_8(crc, load_8(at));
    for (; length > 0; length--, at++)
        crc = STEP_1(crc, *at);
    return ~crc;
}
#endif

#if defined(__x86_64__)
#define CAN_FOLD 1
#define FOLD_BYTES 256
#define FOLD_TARGET __attribute__((target("avx512f,avx512vl,pclmul,vpclmulqdq,sse4.2")))
#define FOLDED_BYTES_MIN (2 * FOLD_BYTES) /* below this the instruction is as fast */
#include <immintrin.h>

static int can_fold(void) {
    return has_instruction() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("vpclmulqdq");
}

/* The factors for the first and the second half of 16 bytes. */
static long long fold_first, fold_second;

/* x to this power, modulo the polynomial. Bits are reflected, and a product of two such words comes out one place too low. */
static long long reflected_power(int exponent) {
    uint32_t power = UINT32_C(1) << 31;
    for (int i = 0; i < exponent; i++)
        power = power & 1 ? (power >> 1) ^ POLYNOMIAL : power >> 1;
    return (long long)power << 1;
}

static void build_folding(void) {
    fold_first = reflected_power(FOLD_BYTES * 8 + 32);
    fold_second = reflected_power(FOLD_BYTES * 8 - 32);
}

FOLD_TARGET static inline __m512i fold(__m512i sum, __m512i factors, const uint8_t *at) {
    __m512i first = _mm512_clmulepi64_epi128(sum, factors, 0x00), second = _mm512_clmulepi64_epi128(sum, factors, 0x11);
    return _mm512_ternarylogic_epi64(first, second, _mm512_loadu_si512(at), 0x96); /* the sum of all three */
}

FOLD_TARGET static uint32_t folding(uint32_t crc, const void *data, size_t length) {
    if (length < FOLDED_BYTES_MIN)
        return with_instruction(crc, data, length);
    const uint8_t *at = data;
    __m512i factors = _mm512_broadcast_i32x4(_mm_set_epi64x(fold_second, fold_first));
    __m512i first = _mm512_xor_si512(_mm512_loadu_si512(at), _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)~crc)));
    __m512i second = _mm512_loadu_si512(at + 64), third = _mm512_loadu_si512(at + 128), fourth = _mm512_loadu_si512(at + 192);
    for (at += FOLD_BYTES, length -= FOLD_BYTES; length >= FOLD_BYTES; at += FOLD_BYTES, length -= FOLD_BYTES) {
        first = fold(first, factors, at);
        second = fold(second, factors, at + 64);
        third = fold(third, factors, at + 128);
        fourth = fold(fourth, factors, at + 192);
    }
    uint8_t left[FOLD_BYTES];
    _mm512_storeu_si512(left, first);
    _mm512_storeu_si512(left + 64, second);
    _mm512_storeu_si512(left + 128, third);
    _mm512_storeu_si512(left + 192, fourth);
    /* The checksum so far is in the bytes already: it does not begin with ones once more. */
    return with_instruction(with_instruction(UINT32_MAX, left, FOLD_BYTES), at, length);
}
#endif

static el_crc32c_implementation implementations[EL_CRC32C_IMPLEMENTATIONS_MAX] = {{"portable", portable}};
static size_t implementation_count = 1;
static uint32_t (*chosen)(uint32_t, const void *, size_t) = portable;

static void choose(const char *name, uint32_t (*compute)(uint32_t, const void *, size_t)) {
    implementations[implementation_count++] = (el_crc32c_implementation){name, compute};
    chosen = compute;
}

__attribute__((constructor)) static void build(void) {
    build_slicing();
#ifdef HAS_INSTRUCTION
    if (has_instruction()) {
        build_shift(shift_long, LONG_BLOCK);
        build_shift(shift_short, SHORT_BLOCK);
        choose(INSTRUCTION_NAME, with_instruction);
    }
#endif
#ifdef CAN_FOLD
    if (can_fold()) {
        build_folding();
        choose("vpclmulqdq", folding);
    }
#endif
}

uint32_t el_crc32c(uint32_t crc, const void *data, size_t length) {
    return chosen(crc, data, length);
}

size_t el_crc32c_implementations(const el_crc32c_implementation **first) {
    *first = implementations;
    return implementation_count;
}
