/* Random errors and the signs that they give: see signed_program.py for the meaning of each array.
   In double, without SIMD. Every field is eight bytes, as in Program. */
#ifndef QSTORE_SIGNED_H
#define QSTORE_SIGNED_H

#include <string.h>
#include "philox.h"

typedef struct {
    int64_t n_sites, n_errors;
    const double *any_error;          /* (sites), then zeros up to a whole block */
    const double *upper;              /* (errors) */
    const int64_t *outcomes;          /* (errors) */
} Sites;

/* What the slots of one kind add to the angles: angle c has terms from starts[c]. */
typedef struct {
    const int64_t *starts, *slots;
    const double *scales;
} Sums;

typedef struct {
    int64_t n_rows, n_params, n_by_rows, n_angles, n_signs, n_outcomes, flip_bytes;
    const double *offsets;            /* (angles) */
    const uint8_t *flips;             /* (outcomes, flip_bytes) */
    Sums of_rows, of_params;
} Signed;

/* The first error with site + u < upper: the place behind all that are not above `value`. */
static int64_t error_at(const Sites *s, double value) {
    int64_t first = 0, last = s->n_errors;
    while (first < last) {
        const int64_t middle = (first + last) / 2;
        if (value < s->upper[middle]) last = middle;
        else first = middle + 1;
    }
    return first;
}

/* Errors that happen in n rows, row by row: returns how many. A row takes whole blocks. */
static int64_t draw_errors(const Sites *s, const uint64_t key[2], uint64_t counter, int64_t n,
                           int64_t *rows, int64_t *outcomes) {
    const PhiloxKeys keys = philox_keys(key);
    uint64_t words[PHILOX_WORDS];
    int64_t found = 0;
    for (int64_t row = 0; row < n; row++) {
        for (int64_t site = 0; site < s->n_sites; site += PHILOX_WORDS) {
            const double *any_error = s->any_error + site;
            double u[PHILOX_WORDS];
            int happen = 0;
            philox_block(&keys, ++counter, words);
            _Pragma("GCC unroll 4") for (int k = 0; k < PHILOX_WORDS; k++) {
                u[k] = unit_interval(words[k]);
                happen |= (u[k] < any_error[k]) << k;
            }
            for (; happen; happen &= happen - 1) {
                const int k = __builtin_ctz((unsigned)happen);
                rows[found] = row;
                outcomes[found++] = s->outcomes[error_at(s, (double)(site + k) + u[k])];
            }
        }
    }
    return found;
}

/* Signs (n, n_signs) of rows with errors; returns 0 if an error is not one of theirs. */
static int find_signs(const Signed *s, int64_t n, int64_t n_errors, const int64_t *rows,
                      const int64_t *outcomes, double *signs) {
    for (int64_t k = 0; k < n * s->n_signs; k++) signs[k] = 1.0;
    for (int64_t e = 0; e < n_errors; e++) {
        if (rows[e] < 0 || rows[e] >= n || outcomes[e] < 0 || outcomes[e] >= s->n_outcomes) return 0;
        const uint8_t *flips = s->flips + outcomes[e] * s->flip_bytes;
        double *row = signs + rows[e] * s->n_signs;
        for (int64_t c = 0; c < s->n_signs; c++)
            if (flips[c >> 3] & 0x80 >> (c & 7)) row[c] = -row[c];
    }
    return 1;
}

static double sum_at(const Sums *sums, int64_t c, const double *slots) {
    double sum = 0.0;
    for (int64_t k = sums->starts[c]; k < sums->starts[c + 1]; k++) sum += sums->scales[k] * slots[sums->slots[k]];
    return sum;
}

/* The program's slots (n, rows + by_rows) and (n, angles − by_rows + params) of signed angles.
   `shared` has room for the angles, if params are the same for all rows, and is NULL otherwise.
   No angle depends on a row alone if `by_row` is NULL: the rows' slots are the program's. */
static void bind_signed(const Signed *s, int64_t n, const double *rows, const double *params,
                        const double *signs, double *shared, double *by_row, double *by_param) {
    const int64_t first = s->n_by_rows, moved = s->n_angles - first;
    const int of_rows = s->of_rows.starts[s->n_angles] > 0;
    if (shared)
        for (int64_t c = 0; c < s->n_angles; c++) shared[c] = s->offsets[c] + sum_at(&s->of_params, c, params);
    for (int64_t i = 0; i < n; i++) {
        double *to = by_row ? by_row + i * (s->n_rows + first) + s->n_rows : NULL;
        double *const tail = by_param + i * (moved + s->n_params);
        for (int64_t c = 0; c < s->n_angles; c++) {
            double angle = shared ? shared[c] : s->offsets[c] + sum_at(&s->of_params, c, params);
            if (of_rows) angle += sum_at(&s->of_rows, c, rows);
            *(c < first ? to++ : tail + c - first) = signs[c] * angle;
        }
        if (by_row) memcpy(by_row + i * (s->n_rows + first), rows, (size_t)s->n_rows * sizeof(double));
        memcpy(tail + moved, params, (size_t)s->n_params * sizeof(double));
        rows += s->n_rows;
        signs += s->n_signs;
        if (!shared) params += s->n_params;
    }
}

/* Gradients (n, params), and (n, rows) unless that is NULL, from those of the program's slots. */
static void unbind_signed(const Signed *s, int64_t n, const double *signs, const double *slots,
                          double *by_rows, double *by_params) {
    const size_t number = sizeof(double);
    for (int64_t i = 0; i < n; i++) {
        const double *angles = slots + s->n_rows;
        if (by_rows) memcpy(by_rows, slots, (size_t)s->n_rows * number);
        memcpy(by_params, angles + s->n_angles, (size_t)s->n_params * number);
        for (int64_t c = 0; c < s->n_angles; c++) {
            const double by_angle = angles[c] * signs[c];
            for (int64_t k = s->of_params.starts[c]; k < s->of_params.starts[c + 1]; k++)
                by_params[s->of_params.slots[k]] += by_angle * s->of_params.scales[k];
            if (!by_rows) continue;
            for (int64_t k = s->of_rows.starts[c]; k < s->of_rows.starts[c + 1]; k++)
                by_rows[s->of_rows.slots[k]] += by_angle * s->of_rows.scales[k];
        }
        if (by_rows) by_rows += s->n_rows;
        by_params += s->n_params;
        slots += s->n_rows + s->n_angles + s->n_params;
        signs += s->n_signs;
    }
}

#endif
