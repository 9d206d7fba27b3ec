/* Philox 4x64 of ten rounds (Salmon et al. 2011, SC11), with the stream of numpy's `Philox`: block n
   of a stream that begins at a counter is the cipher of counter + n + 1. */
#ifndef QSTORE_PHILOX_H
#define QSTORE_PHILOX_H

#include <stdint.h>

enum { PHILOX_ROUNDS = 10, PHILOX_WORDS = 4 };

/* The keys of all rounds. */
typedef struct { uint64_t low[PHILOX_ROUNDS], high[PHILOX_ROUNDS]; } PhiloxKeys;

static PhiloxKeys philox_keys(const uint64_t key[2]) {
    PhiloxKeys keys;
    for (int r = 0; r < PHILOX_ROUNDS; r++) {
        keys.low[r] = key[0] + (uint64_t)r * 0x9E3779B97F4A7C15u;
        keys.high[r] = key[1] + (uint64_t)r * 0xBB67AE8584CAA73Bu;
    }
    return keys;
}

/* The cipher of a counter below 2^64. */
static inline void philox_block(const PhiloxKeys *keys, uint64_t counter, uint64_t words[PHILOX_WORDS]) {
    uint64_t a = counter, b = 0, c = 0, d = 0;
    _Pragma("GCC unroll 10") for (int r = 0; r < PHILOX_ROUNDS; r++) {
        const unsigned __int128 p = (unsigned __int128)0xD2E7470EE14C6C93u * a;
        const unsigned __int128 q = (unsigned __int128)0xCA5A826395121157u * c;
        a = (uint64_t)(q >> 64) ^ b ^ keys->low[r];
        c = (uint64_t)(p >> 64) ^ d ^ keys->high[r];
        b = (uint64_t)q;
        d = (uint64_t)p;
    }
    words[0] = a, words[1] = b, words[2] = c, words[3] = d;
}

/* A number of [0, 1) of 53 bits, as numpy's `random` makes it. */
static inline double unit_interval(uint64_t word) { return (double)(int64_t)(word >> 11) * 0x1p-53; }

#endif
