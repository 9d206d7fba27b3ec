/* x86-64 with AVX-512: vectors of 64 bytes. */
#if defined(__x86_64__)
#include <math.h>
#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma,bmi,bmi2,popcnt"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma,bmi,bmi2,popcnt,prefer-vector-width=512")
#endif
#define LANES 8
#define SET_LANE_BITS 3
#define SET(x) avx512_##x
#include "variants.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int qstore_nothing_for_avx512;
#endif
