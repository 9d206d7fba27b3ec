/* What Python hands to the kernels: see program.py and schedule.py for the meaning of each array.
   Every field is eight bytes, so that an int64 array of numbers and addresses is this struct. */
#ifndef QSTORE_PROGRAM_H
#define QSTORE_PROGRAM_H

#include <stdint.h>

typedef struct {
    int64_t n_qubits, n_rows, n_params, n_observables, params_per_row;
    int64_t n_rotations, n_layers, n_terms, n_passes;
    const int64_t *x, *z;             /* (G) masks */
    const int64_t *local_z;           /* (G) z masks over the qubits of the part */
    const double *offsets;            /* (G) */
    const int64_t *term_starts;       /* (G + 1) */
    const int64_t *slots;             /* slots of the angles */
    const double *scales;             /* their scales */
    const uint8_t *by_row;            /* (G) */
    const int64_t *leading_starts;    /* (n + 1) */
    const int64_t *layers;            /* (layers, 3) kind, first, last + 1 */
    const int64_t *terms;             /* (terms, 4) x, z, power, observable */
    const double *coefficients;       /* (terms) */
    const int64_t *passes;            /* (passes, PASS_COLUMNS) */
    const int64_t *order;             /* rotations of the turn passes, across registers first */
    const uint32_t *vectors;          /* directions of those, then the directions of the bases */
    int64_t from_amplitudes;
    int64_t table_amplitudes;         /* of all phase layers that are the same for every row */
    int64_t n_parts;
    const int64_t *parts;             /* (parts, PART_COLUMNS), each after those it is made of */
    int64_t n_kept;                   /* k qubits are kept at the end; 0: terms are measured */
    const int64_t *kept;              /* x, z of the kept qubits (k each), two masks of signs */
    const uint32_t *kept_vectors;     /* x of the k qubits, then the n − k directions of the others */
} Program;

/* A part: qubits that are a state of their own until it meets its sibling. It begins as a product of
   its qubits, or where two parts meet. The last part is the whole circuit. */
enum { PART_QUBIT, PART_QUBITS, PART_LAYER, PART_PASS, PART_PASSES, PART_LEFT, PART_RIGHT, PART_COLUMNS };

enum { PHASES = 0, TURNS = 1 };       /* kinds of layer */

/* A pass over the states. TURN: up to three rotations of one layer, and up to three within a vector,
   then perhaps the phases of the next layer. PHASE: the phases of a layer on their own.
   SCALE: brings the stored amplitudes back to norm 1. */
enum { TURN = 0, PHASE = 1, SCALE = 2 };
enum {
    P_KIND, P_LAYER, P_ACROSS, P_WITHIN, P_ORDER, P_VECTORS, P_BASES, P_PERMUTED, P_GENERAL,
    P_PHASES, P_TABLE, PASS_COLUMNS
};

/* What a call binds once: the same for every row. All in double; tables follow at `table`. */
typedef struct {
    double *sign;                     /* (G) −1 where a Pauli string pulled in front flips it */
    double *cosine, *sine;            /* (G) of half the angle, of shared angles */
    double *angle;                    /* (G) of shared rotations, with its sign */
    double *tangent;                  /* (G) of half the reduced angle, of shared turns */
    double *shrink;                   /* (passes) norm before over norm after, of a TURN */
    double *factor;                   /* (passes) what phases or SCALE multiply by, besides */
    double *term_sign;                /* (terms) */
    double *part_scale;               /* (parts) true amplitude over stored amplitude at the end */
    double final_scale;               /* part_scale of the whole */
    int64_t frame_x, frame_z;         /* the Pauli string pulled in front of everything */
} Bound;

/* Whether two Pauli strings anticommute, by their masks. */
static inline int anticommute(int64_t x1, int64_t z1, int64_t x2, int64_t z2) {
    return __builtin_parityll((uint64_t)(x1 & z2)) ^ __builtin_parityll((uint64_t)(x2 & z1));
}

#endif
