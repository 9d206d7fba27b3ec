/* A tile, and loops over its amplitudes that several threads share. Part of one variant, after
   kernels.h.

   From SPLIT_QUBITS on, a loop is cut into the same pieces for any number of threads, and sums over
   pieces are added in their order: a row has the same bits however many threads work on it. */

typedef struct {
    const Program *program;
    const Bound *bound;
    const REAL *tables;               /* phase tables: cosines, then sines, of each */
    const double *rows, *params;
    int64_t n, first_row, n_lane_rows;
    int64_t first_qubit, n_qubits;    /* of the part */
    size_t count;                     /* vectors of a state */
    REAL *psi, *lambda;
    D *field, *gradient;              /* (G) by angle */
    double *slots;                    /* (LANES, A + P) gradients of the rows' slots */
    char *part_memory;                /* states of the parts */
    double *observables;              /* of the kept qubits */
    V *density;                       /* memory for one, if states are not kept */
    int kept_x, kept_z;               /* the Pauli string in front, on the kept qubits */
    V *p, *t;                         /* coefficients of the turns, in the order of the passes */
    Team *team;                       /* shares the loops over amplitudes, or NULL */
} NAME(Tile);
#define Tile NAME(Tile)

/* A part of a loop: its steps `first` to `last` − 1, which are piece `piece`. */
typedef void (*NAME(Loop))(const void *own, size_t first, size_t last, int piece);

typedef struct {
    NAME(Loop) loop;
    const void *own;
    size_t count;
    int pieces;
} NAME(Split);

static void NAME(run_piece)(void *context, int64_t piece, int member) {
    const NAME(Split) *split = context;
    const size_t each = split->count / (size_t)split->pieces;
    split->loop(split->own, (size_t)piece * each, ((size_t)piece + 1) * each, (int)piece);
}

/* How many pieces a loop over `count` vectors has, a power of two. */
INLINE int NAME(pieces)(const Tile *tile, size_t count) {
    if (LANE_BITS == 0 || tile->n_qubits < SPLIT_QUBITS || count < PIECES) return 1;
    return PIECES;
}

/* The steps 0 to `count` − 1 of a loop, in pieces; none may depend on another one. */
static void NAME(each)(const Tile *tile, size_t count, NAME(Loop) loop, const void *own) {
    NAME(Split) split = {.loop = loop, .own = own, .count = count, .pieces = NAME(pieces)(tile, count)};
    if (split.pieces == 1) {
        loop(own, 0, count, 0);
    } else if (tile->team) {
        team_share(tile->team, split.pieces, NAME(run_piece), &split);
    } else {
        for (int k = 0; k < split.pieces; k++) NAME(run_piece)(&split, k, 0);
    }
}

/* `kinds` sums over a loop whose pieces have put theirs into `sums`, added in the order of the pieces. */
INLINE void NAME(add_pieces)(const Tile *tile, size_t count, D *sums, int kinds) {
    const int pieces = NAME(pieces)(tile, count);
    for (int piece = 1; piece < pieces; piece++)
        for (int k = 0; k < kinds; k++) sums[k] += sums[piece * kinds + k];
}
