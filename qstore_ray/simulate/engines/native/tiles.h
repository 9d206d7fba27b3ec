/* The two functions of a variant that Python calls, through module.c: they run ranges of tiles. */

static void NAME(run_forward)(Tile *tile) {
    const Program *c = tile->program;
    for (int64_t i = 0; i < c->n_passes; i++) {
        const int64_t *pass = c->passes + i * PASS_COLUMNS;
        if (pass[P_KIND] == TURN) {
            Turn turn;
            NAME(prepare_turn)(tile, pass, &turn);
            NAME(FORWARD)[pass[P_PERMUTED]][pass[P_GENERAL]][pass[P_ACROSS]](&turn, tile->psi);
        } else if (pass[P_KIND] == PHASE) {
            NAME(apply_phases)(tile, pass[P_PHASES], pass[P_TABLE], tile->bound->factor[i], NULL);
        } else {
            NAME(scale_state)(tile->psi, tile->count, tile->bound->factor[i]);
        }
    }
}

/* Gradients of a layer of phases from Im(conj(λ_j) ψ_j), then the layer undone. */
static void NAME(phases_back)(Tile *tile, int64_t layer, int64_t table, double factor, double square,
                              const uint8_t *wanted) {
    const Program *c = tile->program;
    const V *psi = (const V *)tile->psi, *lambda = (const V *)tile->lambda;
    const int64_t first = c->layers[3 * layer + 1], last = c->layers[3 * layer + 2];
    int any = 0;
    for (int64_t g = first; g < last; g++) any |= wanted[g];
    if (any) {
        for (size_t u = 0; u < tile->count; u++) {
            const V lr = lambda[2 * u], li = lambda[2 * u + 1];
            tile->field[u] = TO_D(lr * psi[2 * u + 1] - li * psi[2 * u]);
        }
        NAME(walsh_hadamard)(tile->field, (int)c->n_qubits);
        for (int64_t g = first; g < last; g++)
            if (wanted[g]) tile->gradient[g] = square * NAME(entry)(tile->field, (uint32_t)c->z[g]);
    }
    NAME(apply_phases)(tile, layer, table, factor, tile->lambda);
}

static void NAME(undo_turns)(Tile *tile, const int64_t *pass, double square, const uint8_t *wanted) {
    const Program *c = tile->program;
    const int across = (int)pass[P_ACROSS];
    Turn turn;
    D overlaps[6];
    NAME(prepare_turn)(tile, pass, &turn);
    turn.overlaps = overlaps;
    turn.wanted = 0;
    for (int k = 0; k < 6; k++) overlaps[k] = splat_d(0.0);
    for (int k = 0; k < across + turn.within; k++) turn.wanted |= wanted[c->order[pass[P_ORDER] + k]];
    NAME(BACK)[pass[P_PERMUTED]][pass[P_GENERAL]][across](&turn, tile->psi, tile->lambda);
    for (int k = 0; k < across + turn.within; k++) {
        const int64_t g = c->order[pass[P_ORDER] + k];
        D sum = overlaps[k < across ? k : 3 + k - across];
#if LANE_BITS > 0
        const D signs = lane_signs((uint32_t)c->z[g]);
        sum = splat_d(lane_sum(k < across ? sum * signs : -sum * signs));
#endif
        tile->gradient[g] = square * sum;
    }
}

/* Back to layer `stop`; returns true over stored amplitude there. */
static double NAME(run_back)(Tile *tile, int64_t stop, const uint8_t *wanted) {
    const Program *c = tile->program;
    const Bound *bound = tile->bound;
    double scale = bound->final_scale;
    for (int64_t i = c->n_passes - 1; i >= 0; i--) {
        const int64_t *pass = c->passes + i * PASS_COLUMNS;
        if (pass[P_KIND] == SCALE) {
            NAME(scale_state)(tile->psi, tile->count, bound->factor[i]);
            NAME(scale_state)(tile->lambda, tile->count, bound->factor[i]);
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

static void NAME(load_amplitudes)(Tile *tile, const double *amplitudes) {
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
        (c->n_rotations + 4 * c->n_qubits) * (int64_t)sizeof(D) + 2 * n_order * (int64_t)sizeof(V);
    sizes[2] = LANE_BITS ? 1 : LANES;
}

static Tile NAME(open_tile)(const Sweep *sweep, D **qubits) {
    const Program *c = sweep->program;
    Tile tile = {.program = c, .bound = sweep->bound, .tables = sweep->tables,
                 .rows = sweep->rows, .params = sweep->params, .n = sweep->n};
    char *free = sweep->scratch;
    tile.count = (size_t)1 << (c->n_qubits - LANE_BITS);
    const size_t state = tile.count * 2 * sizeof(V);
    tile.psi = (REAL *)free;
    tile.lambda = (REAL *)(free += state);
    tile.field = (D *)(free += state);
    tile.gradient = (D *)(free += tile.count * sizeof(D));
    *qubits = (D *)(free += (size_t)c->n_rotations * sizeof(D));
    tile.p = (V *)(free += (size_t)(4 * c->n_qubits) * sizeof(D));
    tile.t = tile.p + sweep->n_order;
    NAME(turn_coefficients)(&tile, 0);
    return tile;
}

static void NAME(seek)(Tile *tile, int64_t number) {
    const int64_t rows = LANE_BITS ? 1 : LANES;
    tile->first_row = number * rows;
    tile->n_lane_rows = tile->n - tile->first_row < rows ? tile->n - tile->first_row : rows;
    NAME(turn_coefficients)(tile, 1);
}

static void NAME(start)(Tile *tile, const Sweep *sweep, D *qubits) {
    if (sweep->amplitudes) {
        NAME(load_amplitudes)(tile, sweep->amplitudes);
    } else {
        NAME(qubit_states)(tile, qubits);
        NAME(product_state)(tile, qubits, (int)tile->program->n_qubits);
    }
    NAME(run_forward)(tile);
}

static void NAME(forward)(const Sweep *sweep) {
    D *qubits;
    Tile tile = NAME(open_tile)(sweep, &qubits);
    for (int64_t number = sweep->first; number < sweep->last; number++) {
        if (sweep->kept) tile.psi = (REAL *)sweep->kept + (size_t)number * tile.count * 2 * LANES;
        NAME(seek)(&tile, number);
        NAME(start)(&tile, sweep, qubits);
        NAME(measure)(&tile, sweep->values);
    }
}

static void NAME(write_gradients)(const Tile *tile, const uint8_t *wanted, double *gradients) {
    const Program *c = tile->program;
    const int64_t n_slots = c->n_rows + c->n_params;
    double *row = gradients + tile->first_row * n_slots;
    for (int64_t g = 0; g < c->n_rotations; g++) {
        if (!wanted[g]) continue;
        const D value = tile->gradient[g] * splat_d(tile->bound->sign[g]);
        for (int64_t k = c->term_starts[g]; k < c->term_starts[g + 1]; k++)
            for (int64_t t = 0; t < tile->n_lane_rows; t++)
                row[t * n_slots + c->slots[k]] += c->scales[k] * value[t];
    }
}

static void NAME(reverse)(const Sweep *sweep) {
    const Program *c = sweep->program;
    D *qubits;
    Tile tile = NAME(open_tile)(sweep, &qubits);
    for (int64_t number = sweep->first; number < sweep->last; number++) {
        if (sweep->kept) tile.psi = (REAL *)sweep->kept + (size_t)number * tile.count * 2 * LANES;
        NAME(seek)(&tile, number);
        if (!sweep->kept) NAME(start)(&tile, sweep, qubits);
        NAME(cotangent_state)(&tile, sweep->cotangent);
        const double scale = NAME(run_back)(&tile, sweep->stop, sweep->wanted);
        if (sweep->amplitude_gradients) {
            NAME(store_amplitudes)(&tile, 2.0 * scale, sweep->amplitude_gradients);
        } else if (sweep->stop < 0) {
            if (sweep->kept) NAME(qubit_states)(&tile, qubits);
            NAME(scale_state)(tile.lambda, tile.count, scale);
            NAME(product_back)(&tile, qubits, sweep->wanted);
        }
        NAME(write_gradients)(&tile, sweep->wanted, sweep->gradients);
    }
    (void)c;
}

static void NAME(bind_tables)(const Program *c, const Bound *bound, double *field, REAL *tables) {
    const size_t dim = (size_t)1 << c->n_qubits;
    for (int64_t i = 0; i < c->n_passes; i++) {
        const int64_t *pass = c->passes + i * PASS_COLUMNS;
        if (pass[P_KIND] == SCALE || pass[P_PHASES] < 0 || pass[P_TABLE] < 0) continue;
        REAL *cosines = tables + (size_t)pass[P_TABLE] * 2 * dim;
        phase_angles(c, bound, pass[P_PHASES], field);
        size_t j = 0;
        for (; j + LANES <= dim; j += LANES) {
            D sine, cosine, angle;
            memcpy(&angle, field + j, sizeof(D));
            NAME(sincos)(angle, &sine, &cosine);
            const V c_out = TO_V(bound->factor[i] * cosine), s_out = TO_V(bound->factor[i] * sine);
            memcpy(cosines + j, &c_out, sizeof(V));
            memcpy(cosines + dim + j, &s_out, sizeof(V));
        }
        for (; j < dim; j++) {
            cosines[j] = (REAL)(bound->factor[i] * cos(field[j]));
            cosines[dim + j] = (REAL)(bound->factor[i] * sin(field[j]));
        }
    }
}

#undef V
#undef D
#undef Block
#undef Turn
#undef Tile
#undef splat
#undef splat_d
#undef lane_signs
#undef lane_sum
#undef INLINE
#undef UNROLL
#undef TO_D
#undef TO_V
#undef PERMUTE
#undef PERMUTE_D
#undef UNIT
#undef LANE
#undef FACTOR
#undef NEXT_BASE
#undef EACH_COUNT
#undef TURN_FUNCTIONS
#undef ROW
