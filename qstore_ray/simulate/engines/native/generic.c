/* Any processor: the compiler splits the vectors into what the machine has. */
#define LANES 2
#define SET_LANE_BITS 1
#define SET(x) generic_##x
#include "variants.h"
