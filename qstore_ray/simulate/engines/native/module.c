/* The Python module `qstore_ray.simulate._kernels`: picks the kernels for this processor and calls
   them without Python's lock. `native.py` says what the arguments are; lengths are checked here,
   so that a wrong call is an error and not a crash. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include "bind.h"
#include "signed.h"
#include "sweeps.h"

extern const Kernels generic_kernels[2][2];
#if defined(__x86_64__)
extern const Kernels avx2_kernels[2][2], avx512_kernels[2][2];
#endif

static const Kernels (*chosen)[2] = generic_kernels;
static const char *chosen_name = "generic";
static int chosen_lanes = 2;

#if defined(__x86_64__)
/* What the processor has and the system saves, by CPUID and XGETBV. __builtin_cpu_supports would
 * say the same, but some compilers (zig cc) link a runtime that leaves its table empty. */
static void find_instructions(int *avx2, int *avx512) {
    unsigned a, b, c, d, saved_low = 0, saved_high = 0;
    *avx2 = *avx512 = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) /* OSXSAVE */
        return;
    const int fma = c >> 12 & 1, popcnt = c >> 23 & 1;
    __asm__ volatile("xgetbv" : "=a"(saved_low), "=d"(saved_high) : "c"(0));
    if ((saved_low & 0x6) != 0x6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) /* XMM, YMM */
        return;
    const int bmi = (b >> 3 & 1) && (b >> 8 & 1);
    *avx2 = fma && popcnt && bmi && (b >> 5 & 1);
    *avx512 = *avx2 && (saved_low & 0xe0) == 0xe0 /* opmask and ZMM */
        && (b >> 16 & 1) && (b >> 17 & 1) && (b >> 30 & 1) && (b >> 31 & 1); /* F, DQ, BW, VL */
}
#endif

static int choose(const char *name) {
#if defined(__x86_64__)
    int has_avx2, has_avx512;
    find_instructions(&has_avx2, &has_avx512);
    if (has_avx512 && (!name || !strcmp(name, "avx512"))) {
        chosen = avx512_kernels, chosen_name = "avx512", chosen_lanes = 8;
        return 1;
    }
    if (has_avx2 && (!name || !strcmp(name, "avx2"))) {
        chosen = avx2_kernels, chosen_name = "avx2", chosen_lanes = 4;
        return 1;
    }
#endif
    if (!name || !strcmp(name, "generic")) {
        chosen = generic_kernels, chosen_name = "generic", chosen_lanes = 2;
        return 1;
    }
    return 0;
}

/* The memory of a buffer argument of at least `bytes`; None is NULL. */
static int view(PyObject *object, Py_ssize_t bytes, int writable, Py_buffer *buffer, void *to) {
    void *found = NULL;
    if (object != Py_None) {
        if (PyObject_GetBuffer(object, buffer, writable ? PyBUF_WRITABLE : PyBUF_SIMPLE) < 0) return -1;
        if (buffer->len < bytes) {
            PyErr_Format(PyExc_ValueError, "a buffer of %zd bytes is too short, %zd are needed", buffer->len, bytes);
            return -1;
        }
        found = buffer->buf;
    }
    memcpy(to, &found, sizeof(found));
    return 0;
}

static void release(Py_buffer *buffers, int count) {
    for (int k = 0; k < count; k++) if (buffers[k].obj) PyBuffer_Release(buffers + k);
}

static int64_t on_line(int64_t bytes) { return (bytes + 63) & ~(int64_t)63; }

static int64_t table_bytes(const Program *c, int precision) {
    return on_line(c->table_amplitudes * 2 * (precision ? 4 : 8));
}

/* The next address that begins a cache line. */
static char *aligned(void *memory) { return (char *)on_line((int64_t)(intptr_t)memory); }

/* Whether the threads of a team share a row's amplitudes, and so one scratch memory. */
static int splits_rows(const Program *c, int mode) { return (mode & 1) && c->n_qubits >= SPLIT_QUBITS; }

/* A sweep as its threads share it. */
typedef struct {
    Sweep sweep;
    const Kernels *kernels;
    int back;
    int64_t scratch_bytes;            /* of each thread */
    void *tables;
} Shared;

static void run_tiles(void *context, int64_t piece, int member) {
    const Shared *shared = context;
    Sweep own = shared->sweep;
    own.scratch += piece * shared->scratch_bytes;
    if (shared->back) shared->kernels->reverse(&own);
    else shared->kernels->forward(&own);
}

static void bind_pass(void *context, int64_t piece, int member) {
    const Shared *shared = context;
    double *field = (double *)(shared->sweep.scratch + member * shared->scratch_bytes);
    shared->kernels->bind_table(&shared->sweep, field, shared->tables, piece);
}

/* What the rows share, in the memory of `bound` and the tables behind it. */
static void bind_all(Shared *shared, Bound *bound, Team *team) {
    const Program *c = shared->sweep.program;
    place_bound(c, bound);
    bind_angles(c, shared->sweep.params, bound);
    bind_scales(c, bound);
    if (team && !shared->sweep.team) team_share(team, c->n_passes, bind_pass, shared);
    else for (int64_t k = 0; k < c->n_passes; k++) bind_pass(shared, k, 0);
}

static PyObject *sizes(PyObject *self, PyObject *args) {
    int precision, mode;
    long long n_order;
    Py_buffer header;
    int64_t found[3];
    if (!PyArg_ParseTuple(args, "iiy*L", &precision, &mode, &header, &n_order)) return NULL;
    const Program *program = header.buf;
    chosen[precision & 1][mode & 1].sizes(program, n_order, found);
    const int64_t shared = on_line(bound_bytes(program)) + table_bytes(program, precision);
    const int splits = splits_rows(program, mode);
    PyBuffer_Release(&header);
    return Py_BuildValue("(LLLLi)", (long long)on_line(found[0]) + 64, (long long)shared + 64,
                         (long long)found[1], (long long)found[2], splits);
}

enum { S_PROGRAM, S_MEMORY, S_ROWS, S_PARAMS, S_AMPLITUDES, S_SCRATCH, S_VALUES, S_WANTED, S_GRADIENTS,
       S_SUMMED, S_AMPLITUDE_GRADIENTS, S_KEPT_OBSERVABLES, S_WEIGHTED, S_COUNT };

static PyObject *sweep(PyObject *self, PyObject *args) {
    int precision, mode, back, bind, keep, failed = 1;
    long long n, n_order, threads, together, stop, block;
    PyObject *o[S_COUNT];
    Py_buffer buffers[S_COUNT] = {{0}};
    Shared all = {0};
    Sweep s = {0};
    Team *team = NULL;
    int64_t size[3], next = 0;
    char *memory = NULL;
    if (!PyArg_ParseTuple(args, "iiiiiLLLLLLOOOOOOOOOOOOO", &precision, &mode, &back, &bind, &keep, &n, &n_order,
                          &threads, &together, &stop, &block, o, o + 1, o + 2, o + 3, o + 4, o + 5, o + 6, o + 7, o + 8,
                          o + 9, o + 10, o + 11, o + 12))
        return NULL;
    const Kernels *kernels = &chosen[precision & 1][mode & 1];
    if (view(o[S_PROGRAM], sizeof(Program), 0, buffers, &s.program) < 0) goto end;
    const Program *c = s.program;
    kernels->sizes(c, n_order, size);
    const int64_t tiles = (n + size[2] - 1) / size[2], dim = (int64_t)1 << c->n_qubits;
    const int64_t before = on_line(bound_bytes(c)), shared = before + table_bytes(c, precision);
    const int splits = splits_rows(c, mode);
    if (threads < 1 || together < 1) { PyErr_SetString(PyExc_ValueError, "no thread, or no tile"); goto end; }
    if (view(o[S_MEMORY], 64 + shared + (keep ? tiles * size[1] : 0), 1, buffers + S_MEMORY, &memory) < 0) goto end;
    if (view(o[S_ROWS], n * c->n_rows * 8, 0, buffers + S_ROWS, &s.rows) < 0) goto end;
    if (view(o[S_PARAMS], (c->params_per_row ? n : 1) * c->n_params * 8, 0, buffers + S_PARAMS, &s.params) < 0) goto end;
    if (view(o[S_AMPLITUDES], n * dim * 16, 0, buffers + S_AMPLITUDES, &s.amplitudes) < 0) goto end;
    if (view(o[S_SCRATCH], (splits ? 1 : threads) * on_line(size[0]) + 64, 1, buffers + S_SCRATCH, &s.scratch) < 0) goto end;
    if (view(o[S_VALUES], n * c->n_observables * 8, !back, buffers + S_VALUES, &s.values) < 0) goto end;
    const int64_t matrices = c->n_kept ? (c->n_observables * 16) << (2 * c->n_kept) : 0;
    if (view(o[S_KEPT_OBSERVABLES], matrices, 0, buffers + S_KEPT_OBSERVABLES, &s.kept_observables) < 0) goto end;
    if (c->n_kept && (!s.kept_observables || block < 1 || block % size[2])) {
        PyErr_SetString(PyExc_ValueError, "observables of the kept qubits, and whole tiles in a block, are needed");
        goto end;
    }
    if (back) {
        s.cotangent = s.values;
        if (view(o[S_WEIGHTED], matrices ? (n + block - 1) / block * matrices : 0, 1, buffers + S_WEIGHTED, &s.weighted) < 0) goto end;
        if (c->n_kept && !s.weighted) {
            PyErr_SetString(PyExc_ValueError, "an array of the reverse sweep is missing");
            goto end;
        }
        if (view(o[S_WANTED], c->n_rotations, 0, buffers + S_WANTED, &s.wanted) < 0) goto end;
        if (view(o[S_SUMMED], block < 1 ? 0 : (n + block - 1) / block * c->n_params * 8, 1, buffers + S_SUMMED, &s.summed) < 0) goto end;
        if (view(o[S_GRADIENTS], n * (c->n_rows + (s.summed ? 0 : c->n_params)) * 8, 1, buffers + S_GRADIENTS, &s.gradients) < 0) goto end;
        if (s.summed ? block < 1 || together * size[2] % block : !s.gradients) {
            PyErr_SetString(PyExc_ValueError, "gradients need an array, and blocks whole tiles of one thread");
            goto end;
        }
        if (view(o[S_AMPLITUDE_GRADIENTS], n * dim * 16, 1, buffers + S_AMPLITUDE_GRADIENTS, &s.amplitude_gradients) < 0) goto end;
    }
    memory = aligned(memory);
    s.scratch = aligned(s.scratch);
    Bound *bound = (Bound *)memory;
    s.bound = bound;
    s.tables = memory + before;
    s.kept = keep ? memory + shared : NULL;
    s.n = n, s.n_order = n_order, s.stop = stop, s.block = block;
    s.tiles = tiles, s.together = together, s.next = &next;
    Py_BEGIN_ALLOW_THREADS
    if (threads > 1) team = team_borrow((int)threads);
    if (threads == 1 || team) {
        s.team = splits ? team : NULL;
        all = (Shared){s, kernels, back, on_line(size[0]), memory + before};
        if (bind) bind_all(&all, bound, team);
        if (team && !splits) team_share(team, threads, run_tiles, &all);
        else run_tiles(&all, 0, 0);
        failed = 0;
    }
    if (team) team_return(team);
    Py_END_ALLOW_THREADS
    if (failed) PyErr_SetString(PyExc_RuntimeError, "the threads of a sweep cannot be started");
end:
    release(buffers, S_COUNT);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

/* Bind the last gates and find their observables, or go back from `blocks` of density matrices. */
static PyObject *tail(PyObject *self, PyObject *args) {
    int back, failed = 1;
    long long n_order, stop, blocks;
    PyObject *o[7];
    Py_buffer buffers[7] = {{0}};
    Sweep s = {0};
    int64_t size[3];
    char *memory = NULL;
    const double *weighted = NULL;
    double *out = NULL;
    if (!PyArg_ParseTuple(args, "iLLLOOOOOOO", &back, &n_order, &stop, &blocks, o, o + 1, o + 2, o + 3, o + 4,
                          o + 5, o + 6)) return NULL;
    const Kernels *kernels = &chosen[0][0];
    if (view(o[0], sizeof(Program), 0, buffers, &s.program) < 0) goto end;
    const Program *c = s.program;
    kernels->sizes(c, n_order, size);
    const int64_t dim = (int64_t)1 << c->n_qubits, tiles = (dim + size[2] - 1) / size[2];
    const int64_t before = on_line(bound_bytes(c)), shared = before + table_bytes(c, 0);
    const int64_t matrices = c->n_observables * dim * dim * 16;
    if (view(o[1], 64 + shared + tiles * size[1], 1, buffers + 1, &memory) < 0) goto end;
    if (view(o[2], c->n_params * 8, 0, buffers + 2, &s.params) < 0) goto end;
    if (view(o[3], 64 + size[1] + on_line(c->n_observables * 8) + size[0], 1, buffers + 3, &s.scratch) < 0) goto end;
    if (view(o[4], blocks * matrices, 0, buffers + 4, &weighted) < 0) goto end;
    if (view(o[5], c->n_rotations, 0, buffers + 5, &s.wanted) < 0) goto end;
    if (view(o[6], back ? blocks * (c->n_rows + c->n_params) * 8 : matrices, 1, buffers + 6, &out) < 0) goto end;
    if (back != (weighted != NULL) || c->n_rows || c->params_per_row || c->n_parts != 1) {
        PyErr_SetString(PyExc_ValueError, "not the last gates of a circuit");
        goto end;
    }
    memory = aligned(memory);
    s.scratch = aligned(s.scratch);
    Bound *bound = (Bound *)memory;
    s.bound = bound;
    s.tables = memory + before;
    s.kept = memory + shared;
    s.n_order = n_order, s.stop = stop;
    Py_BEGIN_ALLOW_THREADS
    if (!back) {
        Shared all = {.sweep = s, .kernels = kernels, .tables = memory + before};
        bind_all(&all, bound, NULL);
    }
    kernels->tail(&s, weighted, blocks, out);
    Py_END_ALLOW_THREADS
    failed = 0;
end:
    release(buffers, 7);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

static PyObject *py_draw_errors(PyObject *self, PyObject *args) {
    unsigned long long counter;
    long long n, found = -1;
    PyObject *o[4];
    Py_buffer buffers[4] = {{0}};
    const Sites *s;
    const uint64_t *key;
    int64_t *rows, *outcomes;
    if (!PyArg_ParseTuple(args, "OOKLOO", o, o + 1, &counter, &n, o + 2, o + 3)) return NULL;
    if (view(o[0], sizeof(Sites), 0, buffers, &s) < 0 || view(o[1], 16, 0, buffers + 1, &key) < 0
        || view(o[2], n * s->n_sites * 8, 1, buffers + 2, &rows) < 0
        || view(o[3], n * s->n_sites * 8, 1, buffers + 3, &outcomes) < 0) goto end;
    Py_BEGIN_ALLOW_THREADS
    found = draw_errors(s, key, counter, n, rows, outcomes);
    Py_END_ALLOW_THREADS
end:
    release(buffers, 4);
    return found < 0 ? NULL : PyLong_FromLongLong(found);
}

static PyObject *py_bind_signed(PyObject *self, PyObject *args) {
    long long n;
    int by_row, known = 0;
    PyObject *o[8];
    Py_buffer buffers[8] = {{0}};
    const Signed *s;
    const int64_t *error_rows, *outcomes;
    const double *rows, *params;
    double *signs, *to_rows, *to_params, *shared = NULL;
    if (!PyArg_ParseTuple(args, "OLpOOOOOOO", o, &n, &by_row, o + 1, o + 2, o + 3, o + 4, o + 5, o + 6, o + 7))
        return NULL;
    if (view(o[0], sizeof(Signed), 0, buffers, &s) < 0 || view(o[1], 0, 0, buffers + 1, &error_rows) < 0
        || view(o[2], buffers[1].len, 0, buffers + 2, &outcomes) < 0
        || view(o[3], n * s->n_rows * 8, 0, buffers + 3, &rows) < 0
        || view(o[4], (by_row ? n : 1) * s->n_params * 8, 0, buffers + 4, &params) < 0
        || view(o[5], n * s->n_signs * 8, 1, buffers + 5, &signs) < 0
        || view(o[6], n * (s->n_rows + s->n_by_rows) * 8, 1, buffers + 6, &to_rows) < 0
        || view(o[7], n * (s->n_angles - s->n_by_rows + s->n_params) * 8, 1, buffers + 7, &to_params) < 0) goto end;
    if (!to_rows && s->n_by_rows) { PyErr_SetString(PyExc_ValueError, "no room for the rows' slots"); goto end; }
    if (!by_row && !(shared = PyMem_Malloc((size_t)s->n_angles * 8))) { PyErr_NoMemory(); goto end; }
    Py_BEGIN_ALLOW_THREADS
    known = find_signs(s, n, buffers[1].len / 8, error_rows, outcomes, signs);
    if (known) bind_signed(s, n, rows, params, signs, shared, to_rows, to_params);
    Py_END_ALLOW_THREADS
    if (!known) PyErr_SetString(PyExc_ValueError, "an error out of range");
end:
    PyMem_Free(shared);
    release(buffers, 8);
    if (!known) return NULL;
    Py_RETURN_NONE;
}

static PyObject *py_unbind_signed(PyObject *self, PyObject *args) {
    long long n;
    int failed = 1;
    PyObject *o[5];
    Py_buffer buffers[5] = {{0}};
    const Signed *s;
    const double *signs, *slots;
    double *by_rows, *by_params;
    if (!PyArg_ParseTuple(args, "OLOOOO", o, &n, o + 1, o + 2, o + 3, o + 4)) return NULL;
    if (view(o[0], sizeof(Signed), 0, buffers, &s) < 0
        || view(o[1], n * s->n_signs * 8, 0, buffers + 1, &signs) < 0
        || view(o[2], n * (s->n_rows + s->n_angles + s->n_params) * 8, 0, buffers + 2, &slots) < 0
        || view(o[3], n * s->n_rows * 8, 1, buffers + 3, &by_rows) < 0
        || view(o[4], n * s->n_params * 8, 1, buffers + 4, &by_params) < 0) goto end;
    Py_BEGIN_ALLOW_THREADS
    unbind_signed(s, n, signs, slots, by_rows, by_params);
    Py_END_ALLOW_THREADS
    failed = 0;
end:
    release(buffers, 5);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

static PyObject *use(PyObject *self, PyObject *args) {
    const char *name = NULL;
    if (!PyArg_ParseTuple(args, "|z", &name)) return NULL;
    if (!choose(name)) {
        PyErr_Format(PyExc_ValueError, "this processor has no %s", name);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *current(PyObject *self, PyObject *unused) {
    return Py_BuildValue("(si)", chosen_name, chosen_lanes);
}

static PyMethodDef methods[] = {
    {"use", use, METH_VARARGS, "Take the kernels of an instruction set, or of the best there is."},
    {"current", current, METH_NOARGS, "The instruction set in use, and how many numbers its vectors hold."},
    {"sizes", sizes, METH_VARARGS, "Bytes of a thread's scratch, of what rows share, of a kept tile; rows of a tile; are rows split."},
    {"sweep", sweep, METH_VARARGS, "Bind parameters if asked to, and run the tiles of all rows forward, or back."},
    {"tail", tail, METH_VARARGS, "Observables of the kept qubits, or gradients from their density matrices."},
    {"draw_errors", py_draw_errors, METH_VARARGS, "Random errors of n rows: their rows and outcomes; how many."},
    {"bind_signed", py_bind_signed, METH_VARARGS, "The signs that errors give, and the slots of signed angles."},
    {"unbind_signed", py_unbind_signed, METH_VARARGS, "Gradients of rows and parameters from those of the slots."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_kernels", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernels(void) {
    choose(NULL);
    return PyModule_Create(&definition);
}
