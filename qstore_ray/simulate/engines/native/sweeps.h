/* What module.c asks of the kernels of one instruction set. */
#ifndef QSTORE_SWEEPS_H
#define QSTORE_SWEEPS_H

#include "program.h"
#include "team.h"

/* Qubits from which the threads of a team share a row's amplitudes, where a vector holds amplitudes of
   one row, and into how many pieces these are cut; with fewer qubits, they share the tiles. */
enum { SPLIT_QUBITS = 18, PIECES = 32 };

/* One call: tiles 0 to `tiles` − 1. */
typedef struct {
    const Program *program;
    const Bound *bound;
    const void *tables;
    const double *rows, *params;      /* (N, A), (P) or (N, P) */
    const double *amplitudes;         /* (N, 2^n) complex, or NULL */
    int64_t n;                        /* N */
    int64_t n_order;                  /* turns in all passes */
    int64_t tiles, together;          /* so many tiles belong to the same thread */
    int64_t *next;                    /* the first tile that no thread has taken */
    Team *team;                       /* shares amplitudes, or NULL */
    void *kept;                       /* final states, or NULL; the reverse sweep consumes them */
    char *scratch;
    double *values;                   /* (N, O), forward */
    const double *cotangent;          /* (N, O), reverse */
    const uint8_t *wanted;            /* (G) */
    int64_t stop;                     /* the layer where the reverse sweep may stop */
    double *gradients;                /* (N, A + P), zeros; (N, A) with `summed`, or NULL */
    double *summed;                   /* (blocks, P): gradients of parameters added up over blocks, or NULL */
    double *amplitude_gradients;      /* (N, 2^n) complex, or NULL */
    const double *kept_observables;   /* (O, 2^k, 2^k) complex, of the kept qubits, or NULL */
    int64_t block;                    /* rows of a block */
    double *weighted;                 /* (blocks, O, 2^k, 2^k) complex, zeros: Σ_b w_bo ρ_b */
} Sweep;

/* The next tiles that the calling thread is to run; false if there are none. */
static inline int next_tiles(const Sweep *sweep, int64_t *first, int64_t *end) {
    *first = __atomic_fetch_add(sweep->next, sweep->together, __ATOMIC_RELAXED);
    *end = *first + sweep->together < sweep->tiles ? *first + sweep->together : sweep->tiles;
    return *first < sweep->tiles;
}

typedef struct {
    void (*sizes)(const Program *, int64_t, int64_t[3]);
    void (*bind_table)(const Sweep *, double *field, void *tables, int64_t pass);
    void (*forward)(const Sweep *);
    void (*reverse)(const Sweep *);
    void (*tail)(const Sweep *, const double *weighted, int64_t blocks, double *out);
} Kernels;

#endif
