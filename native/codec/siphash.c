#include "siphash.h"

#include <string.h>

typedef struct sip_state {
    uint64_t v[4];
} sip_state;

static uint64_t rotate(uint64_t value, int bits) {
    return (value << bits) | (value >> (64 - bits));
}

static void rounds(sip_state *state, int count) {
    uint64_t *v = state->v;
    while (count-- > 0) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

static void absorb(sip_state *state, uint64_t word) {
    state->v[3] ^= word;
    rounds(state, 2);
    state->v[0] ^= word;
}

static uint64_t squeeze(const sip_state *state) {
    return state->v[0] ^ state->v[1] ^ state->v[2] ^ state->v[3];
}

void el_siphash_128(const uint64_t key[2], const uint8_t *data, size_t length, uint64_t hash[2]) {
    sip_state state = {{
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    }};
    uint64_t word;
    size_t at = 0;
    for (; at + 8 <= length; at += 8) {
        memcpy(&word, data + at, 8);
        absorb(&state, word);
    }
    word = 0;
    if (length > at)
        memcpy(&word, data + at, length - at);
    absorb(&state, word | (uint64_t)length << 56);
    state.v[2] ^= 0xee;
    rounds(&state, 4);
    hash[0] = squeeze(&state);
    state.v[1] ^= 0xdd;
    rounds(&state, 4);
    hash[1] = squeeze(&state);
}
