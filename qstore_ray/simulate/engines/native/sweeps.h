/* What module.c asks of the kernels of one instruction set. */
#ifndef QSTORE_SWEEPS_H
#define QSTORE_SWEEPS_H

#include "program.h"

/* One call for a range of tiles; every field is eight bytes, as in Program. */
typedef struct {
    const Program *program;
    const Bound *bound;
    const void *tables;
    const double *rows, *params;      /* (N, A), (P) or (N, P) */
    const double *amplitudes;         /* (N, 2^n) complex, or NULL */
    int64_t n;                        /* N */
    int64_t n_order;                  /* turns in all passes */
    int64_t first, last;              /* tiles */
    void *kept;                       /* final states, or NULL; the reverse sweep consumes them */
    char *scratch;
    double *values;                   /* (N, O), forward */
    const double *cotangent;          /* (N, O), reverse */
    const uint8_t *wanted;            /* (G) */
    int64_t stop;                     /* the layer where the reverse sweep may stop */
    double *gradients;                /* (N, A + P), zeros */
    double *amplitude_gradients;      /* (N, 2^n) complex, or NULL */
    const double *kept_observables;   /* (O, 2^k, 2^k) complex, of the kept qubits, or NULL */
    int64_t block;                    /* rows of a block */
    double *weighted;                 /* (blocks, O, 2^k, 2^k) complex, zeros: Σ_b w_bo ρ_b */
} Sweep;

typedef struct {
    void (*sizes)(const Program *, int64_t, int64_t[3]);
    void (*bind_tables)(const Program *, const Bound *, double *, void *);
    void (*forward)(const Sweep *);
    void (*reverse)(const Sweep *);
    void (*tail)(const Sweep *, const double *weighted, int64_t blocks, double *out);
} Kernels;

#endif
