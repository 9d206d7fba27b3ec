/* x86-64 with AVX2: vectors of 32 bytes. */
#if defined(__x86_64__)
#include <math.h>
#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,popcnt"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,bmi,bmi2,popcnt")
#endif
#define LANES 4
#define SET_LANE_BITS 2
#define SET(x) avx2_##x
#include "variants.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int qstore_nothing_for_avx2;
#endif
