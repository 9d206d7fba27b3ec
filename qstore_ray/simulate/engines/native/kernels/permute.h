/* Lanes of a vector by exclusive or: part of kernels.h where a vector holds amplitudes. */
#if defined(__clang__)
INLINE V NAME(permute)(V v, uint32_t x) {
    V out;
    for (int t = 0; t < LANES; t++) out[t] = v[t ^ x];
    return out;
}
INLINE D NAME(permute_d)(D v, uint32_t x) {
    D out;
    for (int t = 0; t < LANES; t++) out[t] = v[t ^ x];
    return out;
}
#else
typedef __typeof__((V){} < (V){}) NAME(Index);
typedef __typeof__((D){} < (D){}) NAME(IndexD);
INLINE V NAME(permute)(V v, uint32_t x) {
    NAME(Index) lanes;
    UNROLL for (int t = 0; t < LANES; t++) lanes[t] = t;
    return __builtin_shuffle(v, lanes ^ (int)x);
}
INLINE D NAME(permute_d)(D v, uint32_t x) {
    NAME(IndexD) lanes;
    UNROLL for (int t = 0; t < LANES; t++) lanes[t] = t;
    return __builtin_shuffle(v, lanes ^ (int64_t)x);
}
#endif
