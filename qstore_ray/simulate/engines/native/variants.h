/* All kernels for one instruction set: two precisions, two ways to fill a vector. Included by one
   file for each instruction set, which defines SET(x), LANES and SET_LANE_BITS. */
#include <math.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include "sweeps.h"

/* The transform of walsh_hadamard on one row, of any size. */
static void transform(double *field, size_t dim) {
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
#include "kernels/kernels.h"
#include "kernels/split.h"
#include "kernels/fields.h"
#include "kernels/sweep.h"
#include "kernels/measure.h"
#include "kernels/parts.h"
#include "kernels/kept.h"
#include "kernels/tiles.h"
#include "kernels/tail.h"
#include "kernels/close.h"
#undef LANE_BITS
#undef NAME
#define LANE_BITS SET_LANE_BITS
#define NAME(x) double_amplitudes_##x
#include "kernels/kernels.h"
#include "kernels/split.h"
#include "kernels/fields.h"
#include "kernels/sweep.h"
#include "kernels/measure.h"
#include "kernels/parts.h"
#include "kernels/kept.h"
#include "kernels/tiles.h"
#include "kernels/tail.h"
#include "kernels/close.h"
#undef LANE_BITS
#undef NAME
#undef REAL
#define REAL float
#define LANE_BITS 0
#define NAME(x) float_rows_##x
#include "kernels/kernels.h"
#include "kernels/split.h"
#include "kernels/fields.h"
#include "kernels/sweep.h"
#include "kernels/measure.h"
#include "kernels/parts.h"
#include "kernels/kept.h"
#include "kernels/tiles.h"
#include "kernels/tail.h"
#include "kernels/close.h"
#undef LANE_BITS
#undef NAME
#define LANE_BITS SET_LANE_BITS
#define NAME(x) float_amplitudes_##x
#include "kernels/kernels.h"
#include "kernels/split.h"
#include "kernels/fields.h"
#include "kernels/sweep.h"
#include "kernels/measure.h"
#include "kernels/parts.h"
#include "kernels/kept.h"
#include "kernels/tiles.h"
#include "kernels/tail.h"
#include "kernels/close.h"

#define FUNCTIONS(name, tail) {name##_sizes, name##_bind_table, name##_forward, name##_reverse, tail}
const Kernels SET(kernels)[2][2] = {
    {FUNCTIONS(double_rows, double_rows_tail), FUNCTIONS(double_amplitudes, NULL)},
    {FUNCTIONS(float_rows, float_rows_tail), FUNCTIONS(float_amplitudes, NULL)},
};
