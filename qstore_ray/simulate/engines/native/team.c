/* A team of threads. The caller announces a round of pieces; whoever comes in time takes some, and
   the caller never waits for a thread that has not begun: on a busy machine it does them alone.

   Whoever waits looks for some microseconds, then sleeps. */
#include <pthread.h>
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
    pthread_t thread;
} Member;

struct Team {
    TeamWork work;
    void *context;
    int64_t pieces;
    _Atomic int64_t next;             /* the first piece that nobody has taken */
    atomic_int round, is_open, inside, ended;
    int started;
    pthread_mutex_t mutex;
    pthread_cond_t begins, ends;
    Member members[];
};

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

static void announce(Team *team) {
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add(&team->round, 1);
    pthread_cond_broadcast(&team->begins);
    pthread_mutex_unlock(&team->mutex);
}

static void *serve(void *argument) {
    const Member *self = argument;
    Team *team = self->team;
    for (int seen = 0; !atomic_load(&team->ended);) {
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

Team *team_open(int size) {
    Team *team = calloc(1, sizeof(Team) + (size_t)size * sizeof(Member));
    if (!team) return NULL;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->begins, NULL);
    pthread_cond_init(&team->ends, NULL);
    for (int k = 1; k < size; k++) {
        Member *member = team->members + team->started;
        member->team = team;
        member->number = k;
        if (pthread_create(&member->thread, NULL, serve, member)) {
            team_close(team);
            return NULL;
        }
        team->started++;
    }
    return team;
}

void team_share(Team *team, int64_t pieces, TeamWork work, void *context) {
    team->work = work;
    team->context = context;
    team->pieces = pieces;
    atomic_store(&team->next, 0);
    atomic_store(&team->is_open, 1);
    announce(team);
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

void team_close(Team *team) {
    atomic_store(&team->ended, 1);
    announce(team);
    for (int k = 0; k < team->started; k++) pthread_join(team->members[k].thread, NULL);
    pthread_cond_destroy(&team->begins);
    pthread_cond_destroy(&team->ends);
    pthread_mutex_destroy(&team->mutex);
    free(team);
}
