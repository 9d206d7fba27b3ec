/* Threads of one call: they begin with it, share pieces of work, and end with it. So a process that
   was forked off has none missing, and nothing waits between calls. */
#ifndef QSTORE_TEAM_H
#define QSTORE_TEAM_H

#include <stdint.h>

typedef struct Team Team;

/* One piece of work; `member` is 0 for the caller, then counts the threads. */
typedef void (*TeamWork)(void *context, int64_t piece, int member);

/* A team of `size` members with the caller, or NULL if the threads cannot be started. */
Team *team_open(int size);

/* Run the pieces 0 to `pieces` − 1, each by whoever is free; all are done at the return. */
void team_share(Team *team, int64_t pieces, TeamWork work, void *context);

void team_close(Team *team);

#endif
