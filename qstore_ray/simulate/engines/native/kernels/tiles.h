/* The functions of a variant that Python calls, through module.c: they run tiles. */

typedef struct {
    const Turn *turn;
    REAL *psi, *lambda;
    NAME(ForwardFunction) forward;
    NAME(BackFunction) back;
    D *overlaps;                      /* (PIECES, 6) */
} NAME(Turning);

static void NAME(forward_piece)(const void *own, size_t first, size_t last, int piece) {
    const NAME(Turning) *w = own;
    w->forward(w->turn, w->psi, (uint32_t)first, (uint32_t)last);
}

static void NAME(back_piece)(const void *own, size_t first, size_t last, int piece) {
    const NAME(Turning) *w = own;
    D *overlaps = w->overlaps + 6 * piece;
    for (int k = 0; k < 6; k++) overlaps[k] = splat_d(0.0);
    w->back(w->turn, w->psi, w->lambda, overlaps, (uint32_t)first, (uint32_t)last);
}

static void NAME(run_forward)(Tile *tile, const int64_t *part) {
    const Program *c = tile->program;
    for (int64_t i = part[PART_PASS]; i < part[PART_PASSES]; i++) {
        const int64_t *pass = c->passes + i * PASS_COLUMNS;
        if (pass[P_KIND] == TURN) {
            Turn turn;
            NAME(prepare_turn)(tile, pass, &turn);
            const NAME(Turning) own = {.turn = &turn, .psi = tile->psi,
                .forward = NAME(FORWARD)[pass[P_PERMUTED]][pass[P_GENERAL]][pass[P_ACROSS]]};
            NAME(each)(tile, (size_t)1 << turn.bases, NAME(forward_piece), &own);
        } else if (pass[P_KIND] == PHASE) {
            NAME(apply_phases)(tile, pass[P_PHASES], pass[P_TABLE], tile->bound->factor[i], NULL);
        } else {
            NAME(scale_state)(tile, tile->psi, tile->bound->factor[i]);
        }
    }
}

static void NAME(cross_products)(const void *own, size_t first, size_t last, int piece) {
    const Tile *tile = own;
    const V *psi = (const V *)tile->psi, *lambda = (const V *)tile->lambda;
    for (size_t u = first; u < last; u++) {
        const V lr = lambda[2 * u], li = lambda[2 * u + 1];
        tile->field[u] = TO_D(lr * psi[2 * u + 1] - li * psi[2 * u]);
    }
}

/* Gradients of a layer of phases from Im(conj(λ_j) ψ_j), then the layer undone. */
static void NAME(phases_back)(Tile *tile, int64_t layer, int64_t table, double factor, double square,
                              const uint8_t *wanted) {
    const Program *c = tile->program;
    const int64_t first = c->layers[3 * layer + 1], last = c->layers[3 * layer + 2];
    int any = 0;
    for (int64_t g = first; g < last; g++) any |= wanted[g];
    if (any) {
        NAME(each)(tile, tile->count, NAME(cross_products), tile);
        NAME(walsh_hadamard)(tile, tile->field);
        for (int64_t g = first; g < last; g++)
            if (wanted[g]) tile->gradient[g] = square * NAME(entry)(tile->field, (uint32_t)c->local_z[g]);
    }
    NAME(apply_phases)(tile, layer, table, factor, tile->lambda);
}

static void NAME(undo_turns)(Tile *tile, const int64_t *pass, double square, const uint8_t *wanted) {
    const Program *c = tile->program;
    const int across = (int)pass[P_ACROSS];
    Turn turn;
    D overlaps[6 * PIECES];
    NAME(prepare_turn)(tile, pass, &turn);
    turn.wanted = 0;
    for (int k = 0; k < across + turn.within; k++) turn.wanted |= wanted[c->order[pass[P_ORDER] + k]];
    const NAME(Turning) own = {.turn = &turn, .psi = tile->psi, .lambda = tile->lambda, .overlaps = overlaps,
                               .back = NAME(BACK)[pass[P_PERMUTED]][pass[P_GENERAL]][across]};
    NAME(each)(tile, (size_t)1 << turn.bases, NAME(back_piece), &own);
    NAME(add_pieces)(tile, (size_t)1 << turn.bases, overlaps, 6);
    for (int k = 0; k < across + turn.within; k++) {
        const int64_t g = c->order[pass[P_ORDER] + k];
        D sum = overlaps[k < across ? k : 3 + k - across];
#if LANE_BITS > 0
        const D signs = lane_signs((uint32_t)c->local_z[g]);
        sum = splat_d(lane_sum(k < across ? sum * signs : -sum * signs));
#endif
        tile->gradient[g] = square * sum;
    }
}

/* Back through a part, to layer `stop`; returns true over stored amplitude there. */
static double NAME(run_back)(Tile *tile, const int64_t *part, double scale, int64_t stop,
                             const uint8_t *wanted) {
    const Program *c = tile->program;
    const Bound *bound = tile->bound;
    for (int64_t i = part[PART_PASSES] - 1; i >= part[PART_PASS]; i--) {
        const int64_t *pass = c->passes + i * PASS_COLUMNS;
        if (pass[P_KIND] == SCALE) {
            NAME(scale_state)(tile, tile->psi, bound->factor[i]);
            NAME(scale_state)(tile, tile->lambda, bound->factor[i]);
            scale /= bound->factor[i];
            continue;
        }
        if (pass[P_PHASES] >= 0) {
            if (pass[P_PHASES] < stop) break;
            NAME(phases_back)(tile, pass[P_PHASES], pass[P_TABLE], bound->factor[i], scale * scale, wanted);
            scale /= bound->factor[i];
        }
        if (pass[P_KIND] == TURN) {
            if (pass[P_LAYER] < stop) break;
            scale *= bound->shrink[i];
            NAME(undo_turns)(tile, pass, scale * scale, wanted);
        }
    }
    return scale;
}

static void NAME(load_amplitudes)(const Tile *tile, const double *amplitudes) {
    V *psi = (V *)tile->psi;
    const size_t dim = (size_t)1 << tile->program->n_qubits;
    for (size_t u = 0; u < tile->count; u++) {
        for (int t = 0; t < LANES; t++) {
            const int64_t lane = t < tile->n_lane_rows ? t : tile->n_lane_rows - 1;
            const size_t row = (size_t)(tile->first_row + (LANE_BITS ? 0 : lane));
            const size_t j = LANE_BITS ? (u << LANE_BITS) + (size_t)t : u;
            psi[2 * u][t] = (REAL)amplitudes[2 * (row * dim + j)];
            psi[2 * u + 1][t] = (REAL)amplitudes[2 * (row * dim + j) + 1];
        }
    }
}

static void NAME(store_amplitudes)(const Tile *tile, double factor, double *amplitudes) {
    const V *lambda = (const V *)tile->lambda;
    const size_t dim = (size_t)1 << tile->program->n_qubits;
    for (size_t u = 0; u < tile->count; u++) {
        for (int64_t t = 0; t < (LANE_BITS ? LANES : tile->n_lane_rows); t++) {
            const size_t row = (size_t)(tile->first_row + (LANE_BITS ? 0 : t));
            const size_t j = LANE_BITS ? (u << LANE_BITS) + (size_t)t : u;
            amplitudes[2 * (row * dim + j)] = factor * (double)lambda[2 * u][t];
            amplitudes[2 * (row * dim + j) + 1] = factor * (double)lambda[2 * u + 1][t];
        }
    }
}

/* Bytes of a thread's scratch memory, and of one tile's state. */
static void NAME(sizes)(const Program *c, int64_t n_order, int64_t sizes[3]) {
    const int64_t count = (int64_t)1 << (c->n_qubits - LANE_BITS);
    sizes[1] = count * 2 * (int64_t)sizeof(V);
    sizes[0] = 2 * sizes[1] + count * (int64_t)sizeof(D) +
        (c->n_rotations + 4 * c->n_qubits + c->n_rows + c->n_params) * (int64_t)sizeof(D) +
        2 * n_order * (int64_t)sizeof(V) +
        NAME(part_bytes)(c) + NAME(density_bytes)(c);
    if (c->n_kept) sizes[0] += (c->n_observables * 16) << (2 * c->n_kept);
    sizes[1] += NAME(density_bytes)(c);
    sizes[2] = LANE_BITS ? 1 : LANES;
}

static Tile NAME(open_tile)(const Sweep *sweep, D **qubits) {
    const Program *c = sweep->program;
    Tile tile = {.program = c, .bound = sweep->bound, .tables = sweep->tables,
                 .rows = sweep->rows, .params = sweep->params, .n = sweep->n,
                 .n_qubits = c->n_qubits, .team = sweep->team};
    char *free = sweep->scratch;
    tile.count = (size_t)1 << (c->n_qubits - LANE_BITS);
    const size_t state = tile.count * 2 * sizeof(V);
    tile.psi = (REAL *)free;
    tile.lambda = (REAL *)(free += state);
    tile.field = (D *)(free += state);
    tile.gradient = (D *)(free += tile.count * sizeof(D));
    *qubits = (D *)(free += (size_t)c->n_rotations * sizeof(D));
    tile.slots = (double *)(free += (size_t)(4 * c->n_qubits) * sizeof(D));
    tile.p = (V *)(free += (size_t)(c->n_rows + c->n_params) * sizeof(D));
    tile.t = tile.p + sweep->n_order;
    tile.part_memory = free += 2 * (size_t)sweep->n_order * sizeof(V);
    tile.density = (V *)(free += NAME(part_bytes)(c));
    tile.observables = (double *)(free += NAME(density_bytes)(c));
    if (sweep->kept_observables) NAME(open_kept)(&tile, sweep->kept_observables);
    NAME(turn_coefficients)(&tile, 0);
    return tile;
}

static void NAME(seek)(Tile *tile, int64_t number) {
    const int64_t rows = LANE_BITS ? 1 : LANES;
    tile->first_row = number * rows;
    tile->n_lane_rows = tile->n - tile->first_row < rows ? tile->n - tile->first_row : rows;
    NAME(turn_coefficients)(tile, 1);
}

/* ψ of parts `first` to `last` − 1; the last of all parts is the whole. */
static void NAME(run_parts)(const Tile *tile, const Sweep *sweep, const D *qubits, int64_t last) {
    const Program *c = tile->program;
    for (int64_t number = 0; number < last; number++) {
        const int64_t *part = c->parts + number * PART_COLUMNS;
        Tile own = NAME(part_tile)(tile, number);
        if (sweep->amplitudes) {
            NAME(load_amplitudes)(&own, sweep->amplitudes);
        } else if (part[PART_LEFT] < 0) {
            NAME(product_state)(&own, qubits, (int)own.n_qubits);
        } else {
            const Tile left = NAME(part_tile)(tile, part[PART_LEFT]);
            const Tile right = NAME(part_tile)(tile, part[PART_RIGHT]);
            const double *scale = tile->bound->part_scale;
            NAME(join)(&own, &left, &right, scale[part[PART_LEFT]] * scale[part[PART_RIGHT]]);
        }
        NAME(run_forward)(&own, part);
    }
}

static void NAME(start)(Tile *tile, const Sweep *sweep, D *qubits) {
    if (!sweep->amplitudes) NAME(qubit_states)(tile, qubits);
    NAME(run_parts)(tile, sweep, qubits, tile->program->n_parts);
}

/* Where a tile's final state is, and its density matrix of the kept qubits. */
static V *NAME(seek_kept)(Tile *tile, const Sweep *sweep, int64_t number) {
    if (!sweep->kept) return tile->density;
    const size_t state = tile->count * 2 * sizeof(V);
    char *kept = (char *)sweep->kept + (size_t)number * (state + NAME(density_bytes)(tile->program));
    tile->psi = (REAL *)kept;
    return (V *)(kept + state);
}

static void NAME(forward)(const Sweep *sweep) {
    int64_t number, end;
    D *qubits;
    if (!next_tiles(sweep, &number, &end)) return;
    Tile tile = NAME(open_tile)(sweep, &qubits);
    do for (; number < end; number++) {
        V *density = NAME(seek_kept)(&tile, sweep, number);
        NAME(seek)(&tile, number);
        NAME(start)(&tile, sweep, qubits);
        if (tile.program->n_kept) {
            NAME(density)(&tile, density);
            NAME(measure_kept)(&tile, density, sweep->values);
        } else {
            NAME(measure)(&tile, sweep->values);
        }
    } while (next_tiles(sweep, &number, &end));
}

/* Gradients of the slots of a tile's rows (rows, A + P), added to what is there. */
static void NAME(add_slots)(const Tile *tile, const uint8_t *wanted, double *row) {
    const Program *c = tile->program;
    const int64_t n_slots = c->n_rows + c->n_params;
    for (int64_t g = 0; g < c->n_rotations; g++) {
        if (!wanted[g]) continue;
        const D value = tile->gradient[g] * splat_d(tile->bound->sign[g]);
        for (int64_t k = c->term_starts[g]; k < c->term_starts[g + 1]; k++)
            for (int64_t t = 0; t < tile->n_lane_rows; t++)
                row[t * n_slots + c->slots[k]] += c->scales[k] * value[t];
    }
}

/* The same, with the parameters' added to those of the rows before in their block. */
static void NAME(add_to_blocks)(const Tile *tile, const Sweep *sweep) {
    const Program *c = tile->program;
    const int64_t n_slots = c->n_rows + c->n_params;
    memset(tile->slots, 0, (size_t)(tile->n_lane_rows * n_slots) * sizeof(double));
    NAME(add_slots)(tile, sweep->wanted, tile->slots);
    for (int64_t t = 0; t < tile->n_lane_rows; t++) {
        const int64_t number = tile->first_row + t;
        const double *from = tile->slots + t * n_slots + c->n_rows;
        double *to = sweep->summed + number / sweep->block * c->n_params;
        if (number % sweep->block == 0) memcpy(to, from, (size_t)c->n_params * sizeof(double));
        else for (int64_t k = 0; k < c->n_params; k++) to[k] += from[k];
        if (sweep->gradients)
            memcpy(sweep->gradients + number * c->n_rows, from - c->n_rows, (size_t)c->n_rows * sizeof(double));
    }
}

/* Back through the parts from `last` − 1 on; ψ of each is its final state, λ that of the whole. */
static void NAME(parts_back)(const Tile *tile, const Sweep *sweep, const D *qubits) {
    const Program *c = tile->program;
    const double *scales = tile->bound->part_scale;
    for (int64_t number = c->n_parts - 1; number >= 0; number--) {
        const int64_t *part = c->parts + number * PART_COLUMNS;
        Tile own = NAME(part_tile)(tile, number);
        const double scale = NAME(run_back)(&own, part, scales[number], sweep->stop, sweep->wanted);
        if (sweep->amplitude_gradients) {
            NAME(store_amplitudes)(&own, 2.0 * scale, sweep->amplitude_gradients);
        } else if (part[PART_LEFT] >= 0 && sweep->stop < part[PART_LAYER]) {
            const int64_t a = part[PART_LEFT], b = part[PART_RIGHT];
            if (number == c->n_parts - 1 && sweep->kept)
                NAME(run_parts)(tile, sweep, qubits, number);
            const Tile left = NAME(part_tile)(tile, a), right = NAME(part_tile)(tile, b);
            NAME(separate)(&own, &left, &right, scale, scales[a], scales[b]);
        } else if (part[PART_LEFT] >= 0) {
            return;
        } else if (sweep->stop < 0) {
            NAME(scale_state)(&own, own.lambda, scale);
            NAME(product_back)(&own, qubits, sweep->wanted);
        }
    }
}

static void NAME(reverse)(const Sweep *sweep) {
    const Program *c = sweep->program;
    int64_t number, end;
    D *qubits;
    if (!next_tiles(sweep, &number, &end)) return;
    Tile tile = NAME(open_tile)(sweep, &qubits);
    do for (; number < end; number++) {
        V *density = NAME(seek_kept)(&tile, sweep, number);
        NAME(seek)(&tile, number);
        if (!sweep->kept) NAME(start)(&tile, sweep, qubits);
        else if (!sweep->amplitudes) NAME(qubit_states)(&tile, qubits);
        if (!tile.program->n_kept) {
            NAME(cotangent_state)(&tile, sweep->cotangent);
        } else {
            if (!sweep->kept) NAME(density)(&tile, density);
            NAME(add_weighted)(&tile, density, sweep);
            NAME(cotangent_kept)(&tile, sweep->cotangent);
        }
        NAME(parts_back)(&tile, sweep, qubits);
        if (sweep->summed) NAME(add_to_blocks)(&tile, sweep);
        else NAME(add_slots)(&tile, sweep->wanted, sweep->gradients + tile.first_row * (c->n_rows + c->n_params));
    } while (next_tiles(sweep, &number, &end));
}

typedef struct { REAL *cosines, *sines; const D *field; double factor; } NAME(Table);

static void NAME(table_piece)(const void *own, size_t first, size_t last, int piece) {
    const NAME(Table) *w = own;
    for (size_t u = first; u < last; u++) {
        D sine, cosine;
        NAME(sincos)(w->field[u], &sine, &cosine);
        const V c = TO_V(w->factor * cosine), s = TO_V(w->factor * sine);
        memcpy(w->cosines + u * LANES, &c, sizeof(V));
        memcpy(w->sines + u * LANES, &s, sizeof(V));
    }
}

/* The table of a pass whose phases are the same for every row, if there is one: cosines and sines of
   φ_j = −½ Σ_g θ_g (−1)^|j∧z_g|. `field` has room for one row of the whole circuit. */
static void NAME(bind_table)(const Sweep *sweep, double *field, void *tables, int64_t i) {
    const Program *c = sweep->program;
    const int64_t *pass = c->passes + i * PASS_COLUMNS, *part = c->parts;
    if (pass[P_KIND] == SCALE || pass[P_PHASES] < 0 || pass[P_TABLE] < 0) return;
    while (i >= part[PART_PASSES]) part += PART_COLUMNS;
    const size_t dim = (size_t)1 << part[PART_QUBITS];
    const int64_t *layer = c->layers + 3 * pass[P_PHASES];
    const Tile tile = {.n_qubits = part[PART_QUBITS], .count = dim / LANES, .team = sweep->team};
    const NAME(Table) own = {.cosines = (REAL *)tables + (size_t)pass[P_TABLE] * 2, .field = (const D *)field,
        .sines = (REAL *)tables + (size_t)pass[P_TABLE] * 2 + dim, .factor = sweep->bound->factor[i]};
    memset(field, 0, dim * sizeof(double));
    for (int64_t g = layer[1]; g < layer[2]; g++) field[c->local_z[g]] -= 0.5 * sweep->bound->angle[g];
    if (LANE_BITS > 0) NAME(walsh_hadamard)(&tile, (D *)field);
    else transform(field, dim);
    NAME(each)(&tile, dim / LANES, NAME(table_piece), &own);
    for (size_t j = dim / LANES * LANES; j < dim; j++) {
        own.cosines[j] = (REAL)(own.factor * cos(field[j]));
        own.sines[j] = (REAL)(own.factor * sin(field[j]));
    }
}
