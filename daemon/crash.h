/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a worker that crashes leaves in the memory that it shares with umbrad. */
#ifndef DAEMON_CRASH_H
#define DAEMON_CRASH_H

#include "daemon/shared.h"

/*
 * From now on a signal that says that the program is broken is noted in @state; then it kills the
 * process as it would have. Also gives the calling thread a stack for that.
 */
void crash_note_in(struct worker_state *state);
/* Gives the calling thread a stack of its own for that: its own may be what is broken. */
void crash_prepare_thread(void);

#endif
