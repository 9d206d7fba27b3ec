/* A team of threads. The caller announces a round of pieces; whoever comes in time takes some, and
   the caller never waits for a thread that has not begun: on a busy machine it does them alone.

   Whoever waits looks for some microseconds, then sleeps. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "team.h"

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#else
#define PAUSE() ((void)0)
#endif
enum { LOOKS = 1000 };

typedef struct {
    Team *team;
    int number;
} Member;

struct Team {
    TeamWork work;
    void *context;
    int64_t pieces;
    _Atomic int64_t next;             /* the first piece that nobody has taken */
    atomic_int round, is_open, inside;
    int size;
    Team *other;                      /* in the list of those that nobody uses */
    pthread_mutex_t mutex;
    pthread_cond_t begins, ends;
    Member members[];
};

static pthread_mutex_t idle_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t at_fork = PTHREAD_ONCE_INIT;
static Team *idle;

static void take(Team *team, int member) {
    int64_t piece;
    while ((piece = atomic_fetch_add(&team->next, 1)) < team->pieces) team->work(team->context, piece, member);
}

static void wait_for_round(Team *team, int seen) {
    for (int k = 0; k < LOOKS; k++) {
        if (atomic_load(&team->round) != seen) return;
        PAUSE();
    }
    pthread_mutex_lock(&team->mutex);
    while (atomic_load(&team->round) == seen) pthread_cond_wait(&team->begins, &team->mutex);
    pthread_mutex_unlock(&team->mutex);
}

static void *serve(void *argument) {
    const Member *self = argument;
    Team *team = self->team;
    for (int seen = 0;;) {
        wait_for_round(team, seen);
        seen = atomic_load(&team->round);
        /* First inside, then a look at whether it is open: the caller closes, then looks inside. */
        atomic_fetch_add(&team->inside, 1);
        if (atomic_load(&team->is_open)) take(team, self->number);
        if (atomic_fetch_sub(&team->inside, 1) == 1 && !atomic_load(&team->is_open)) {
            pthread_mutex_lock(&team->mutex);
            pthread_cond_signal(&team->ends);
            pthread_mutex_unlock(&team->mutex);
        }
    }
    return NULL;
}

/* Start a thread that no signal is sent to: Python's main thread is to get them. */
static int start(Member *member) {
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&thread, &attributes, serve, member);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed;
}

static Team *open_team(int size) {
    Team *team = calloc(1, sizeof(Team) + (size_t)size * sizeof(Member));
    if (!team) return NULL;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->begins, NULL);
    pthread_cond_init(&team->ends, NULL);
    team->size = size;
    for (int k = 1; k < size; k++) {
        team->members[k] = (Member){team, k};
        if (start(team->members + k)) return NULL; /* those that began wait for ever, asleep */
    }
    return team;
}

/* In a process that was forked off: the threads of its parent are not there. */
static void forget(void) {
    idle = NULL;
    pthread_mutex_init(&idle_mutex, NULL);
}

static void forget_at_fork(void) { pthread_atfork(NULL, NULL, forget); }

Team *team_borrow(int size) {
    pthread_once(&at_fork, forget_at_fork);
    pthread_mutex_lock(&idle_mutex);
    Team **found = &idle;
    while (*found && (*found)->size != size) found = &(*found)->other;
    Team *team = *found;
    if (team) *found = team->other;
    pthread_mutex_unlock(&idle_mutex);
    return team ? team : open_team(size);
}

void team_return(Team *team) {
    pthread_mutex_lock(&idle_mutex);
    team->other = idle;
    idle = team;
    pthread_mutex_unlock(&idle_mutex);
}

void team_share(Team *team, int64_t pieces, TeamWork work, void *context) {
    team->work = work;
    team->context = context;
    team->pieces = pieces;
    atomic_store(&team->next, 0);
    atomic_store(&team->is_open, 1);
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add(&team->round, 1);
    pthread_cond_broadcast(&team->begins);
    pthread_mutex_unlock(&team->mutex);
    take(team, 0);
    atomic_store(&team->is_open, 0);
    for (int k = 0; k < LOOKS; k++) {
        if (!atomic_load(&team->inside)) return;
        PAUSE();
    }
    pthread_mutex_lock(&team->mutex);
    while (atomic_load(&team->inside)) pthread_cond_wait(&team->ends, &team->mutex);
    pthread_mutex_unlock(&team->mutex);
}
