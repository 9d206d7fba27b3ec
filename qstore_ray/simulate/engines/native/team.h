/* Threads that share the work of one call. They sleep between calls, and are borrowed by whoever
   sweeps; a process that was forked off begins with none. */
#ifndef QSTORE_TEAM_H
#define QSTORE_TEAM_H

#include <stdint.h>

typedef struct Team Team;

/* One piece of work; `member` is 0 for the caller, then counts the threads. */
typedef void (*TeamWork)(void *context, int64_t piece, int member);

/* A team of `size` members with the caller, or NULL if the threads cannot be started. */
Team *team_borrow(int size);

/* Run the pieces 0 to `pieces` − 1, each by whoever is free; all are done at the return. */
void team_share(Team *team, int64_t pieces, TeamWork work, void *context);

void team_return(Team *team);

#endif
