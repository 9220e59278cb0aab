/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the HTTP server counts of itself. Any thread. */
#ifndef WEB_STATISTICS_H
#define WEB_STATISTICS_H

#include <stdatomic.h>

#include "web/problem.h"

enum web_listener { LISTENER_TCP, LISTENER_UNIX, LISTENER_COUNT };

struct web_statistics {
	atomic_ulong answers[LISTENER_COUNT][WEB_STATUS_COUNT]; /* in the order of web_statuses */
};

/* One more answer with @status. */
static inline void web_count_answer(struct web_statistics *statistics, enum web_listener listener,
				    unsigned int status)
{
	for (unsigned int i = 0; i < WEB_STATUS_COUNT; i++) {
		if (web_statuses[i].status == status)
			atomic_fetch_add_explicit(&statistics->answers[listener][i], 1,
						  memory_order_relaxed);
	}
}

#endif
