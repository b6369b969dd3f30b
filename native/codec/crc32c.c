/* Three implementations of CRC32C, one chosen when the library is loaded.
 *
 * The processors' instruction has a latency of three cycles and a throughput of one, so long inputs are split into three
 * streams that run side by side. Joining them needs "the checksum of this, followed by n zero bytes", which is a linear
 * map over GF(2): a 32 by 32 bit matrix, kept as four tables of 256 words for each of two block lengths. The method is
 * the one Mark Adler described in 2013 (https://stackoverflow.com/a/17646775). */

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

uint32_t el_crc32c_portable(uint32_t crc, const void *data, size_t length) {
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
static const char instruction_name[] = "sse4.2";
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
static const char instruction_name[] = "armv8";
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

static uint32_t (*chosen)(uint32_t, const void *, size_t) = el_crc32c_portable;
static const char *chosen_name = "portable";

__attribute__((constructor)) static void choose(void) {
    build_slicing();
#ifdef HAS_INSTRUCTION
    if (has_instruction()) {
        build_shift(shift_long, LONG_BLOCK);
        build_shift(shift_short, SHORT_BLOCK);
        chosen = with_instruction;
        chosen_name = instruction_name;
    }
#endif
}

uint32_t el_crc32c(uint32_t crc, const void *data, size_t length) {
    return chosen(crc, data, length);
}

const char *el_crc32c_implementation(void) {
    return chosen_name;
}
