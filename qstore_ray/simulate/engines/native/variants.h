/* All kernels for one instruction set: two precisions, two ways to fill a vector. Included by one
   file for each instruction set, which defines SET(x), LANES and SET_LANE_BITS. */
#include <math.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include "sweeps.h"

/* The angles of a layer of shared phases: φ_j = −½ Σ_g θ_g (−1)^|j∧z_g|, by one transform. */
static void phase_angles(const Program *c, const Bound *bound, int64_t layer, int n_qubits,
                         double *field) {
    const size_t dim = (size_t)1 << n_qubits;
    memset(field, 0, dim * sizeof(double));
    for (int64_t g = c->layers[3 * layer + 1]; g < c->layers[3 * layer + 2]; g++)
        field[c->local_z[g]] -= 0.5 * bound->angle[g];
    for (size_t step = 1; step < dim; step *= 2) {
        for (size_t base = 0; base < dim; base += 2 * step) {
            for (size_t j = base; j < base + step; j++) {
                const double a = field[j], b = field[j + step];
                field[j] = a + b;
                field[j + step] = a - b;
            }
        }
    }
}


#define REAL double
#define LANE_BITS 0
#define NAME(x) double_rows_##x
#include "kernels.h"
#include "fields.h"
#include "sweep.h"
#include "measure.h"
#include "parts.h"
#include "kept.h"
#include "tiles.h"
#include "tail.h"
#include "close.h"
#undef LANE_BITS
#undef NAME
#define LANE_BITS SET_LANE_BITS
#define NAME(x) double_amplitudes_##x
#include "kernels.h"
#include "fields.h"
#include "sweep.h"
#include "measure.h"
#include "parts.h"
#include "kept.h"
#include "tiles.h"
#include "tail.h"
#include "close.h"
#undef LANE_BITS
#undef NAME
#undef REAL
#define REAL float
#define LANE_BITS 0
#define NAME(x) float_rows_##x
#include "kernels.h"
#include "fields.h"
#include "sweep.h"
#include "measure.h"
#include "parts.h"
#include "kept.h"
#include "tiles.h"
#include "tail.h"
#include "close.h"
#undef LANE_BITS
#undef NAME
#define LANE_BITS SET_LANE_BITS
#define NAME(x) float_amplitudes_##x
#include "kernels.h"
#include "fields.h"
#include "sweep.h"
#include "measure.h"
#include "parts.h"
#include "kept.h"
#include "tiles.h"
#include "tail.h"
#include "close.h"

#define FUNCTIONS(name, tail) {name##_sizes, (void (*)(const Program *, const Bound *, double *, void *))name##_bind_tables, \
                         name##_forward, name##_reverse, tail}
const Kernels SET(kernels)[2][2] = {
    {FUNCTIONS(double_rows, double_rows_tail), FUNCTIONS(double_amplitudes, NULL)},
    {FUNCTIONS(float_rows, float_rows_tail), FUNCTIONS(float_amplitudes, NULL)},
};
