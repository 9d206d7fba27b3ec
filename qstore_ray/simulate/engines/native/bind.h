/* Binding: what a set of parameters gives that is the same for all rows. In double, without SIMD.

   A turn by θ costs one multiply-add a number instead of two where tan(θ/2) can stand for
   (cos, sin) and the cosine is put off (`shrink`). It needs |θ| ≤ π/2. So whole half turns are
   taken out: exp(−iπP/2) is the Pauli string P, which moves past everything behind it and only
   flips signs: of the angles of strings that anticommute with it, and of observables. */
#ifndef QSTORE_BIND_H
#define QSTORE_BIND_H

#include <math.h>
#include <string.h>
#include "program.h"

static double shared_angle(const Program *c, const double *params, int64_t g) {
    double angle = c->offsets[g];
    for (int64_t k = c->term_starts[g]; k < c->term_starts[g + 1]; k++)
        angle += c->scales[k] * params[c->slots[k] - c->n_rows];
    return angle;
}

/* Where the arrays of a Bound lie behind it. */
static void place_bound(const Program *c, Bound *bound) {
    double *next = (double *)(bound + 1);
    double **const by_rotation[] = {&bound->sign, &bound->cosine, &bound->sine, &bound->angle, &bound->tangent};
    for (size_t k = 0; k < sizeof(by_rotation) / sizeof(*by_rotation); k++, next += c->n_rotations)
        *by_rotation[k] = next;
    bound->shrink = next;
    bound->factor = (next += c->n_passes);
    bound->term_sign = (next += c->n_passes);
    bound->part_scale = (next += c->n_terms);
}

static int64_t bound_bytes(const Program *c) {
    return (int64_t)sizeof(Bound) + 8 * (5 * c->n_rotations + 2 * c->n_passes + c->n_terms + c->n_parts);
}

static void bind_angles(const Program *c, const double *params, Bound *bound) {
    const double pi = 3.14159265358979311600, pi_low = 1.22464679914735320717e-16;
    int64_t frame_x = 0, frame_z = 0, leading = c->leading_starts[c->n_qubits];
    int64_t layer = 0;
    for (int64_t g = 0; g < c->n_rotations; g++) {
        bound->sign[g] = anticommute(frame_x, frame_z, c->x[g], c->z[g]) ? -1.0 : 1.0;
        bound->cosine[g] = bound->tangent[g] = 1.0;
        bound->sine[g] = bound->angle[g] = 0.0;
        while (layer < c->n_layers && g >= c->layers[3 * layer + 2]) layer++;
        if (c->by_row[g]) continue;
        double angle = bound->sign[g] * shared_angle(c, params, g);
        if (g >= leading && c->layers[3 * layer] == TURNS) {
            const double half_turns = nearbyint(angle / pi);
            angle = fma(-half_turns, pi_low, fma(-half_turns, pi, angle));
            if (fmod(half_turns, 2.0) != 0.0) {
                frame_x ^= c->x[g];
                frame_z ^= c->z[g];
            }
        }
        bound->angle[g] = angle;
        bound->cosine[g] = cos(0.5 * angle);
        bound->sine[g] = sin(0.5 * angle);
        bound->tangent[g] = bound->sine[g] / bound->cosine[g];
    }
    bound->frame_x = frame_x;
    bound->frame_z = frame_z;
    for (int64_t k = 0; k < c->n_terms; k++)
        bound->term_sign[k] = anticommute(frame_x, frame_z, c->terms[4 * k], c->terms[4 * k + 1]) ? -1.0 : 1.0;
}

/* What the turns leave out, and where it is made good. */
static void bind_scales(const Program *c, Bound *bound) {
    double scale = 1.0; /* true amplitude over stored amplitude */
    int64_t part = 0;
    for (int64_t i = 0; i <= c->n_passes; i++) {
        while (part < c->n_parts && i == c->parts[part * PART_COLUMNS + PART_PASSES]) {
            bound->part_scale[part++] = scale;
            scale = 1.0;
        }
        if (i == c->n_passes) break;
        const int64_t *pass = c->passes + i * PASS_COLUMNS;
        bound->shrink[i] = bound->factor[i] = 1.0;
        if (pass[P_KIND] == TURN) {
            for (int64_t k = 0; k < pass[P_ACROSS] + pass[P_WITHIN]; k++) {
                const int64_t g = c->order[pass[P_ORDER] + k];
                if (!c->by_row[g]) bound->shrink[i] *= bound->cosine[g];
            }
            scale *= bound->shrink[i];
        }
        if (pass[P_KIND] == SCALE || pass[P_PHASES] >= 0) {
            bound->factor[i] = scale;
            scale = 1.0;
        }
    }
    bound->final_scale = bound->part_scale[c->n_parts - 1];
}

#endif
