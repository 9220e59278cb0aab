/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

#include "daemon/loop.h"

enum { EVENTS_AT_ONCE = 16 };

int loop_create(void)
{
	int loop = epoll_create1(EPOLL_CLOEXEC);

	return loop < 0 ? -errno : loop;
}

int loop_add(int loop, struct source *source, int fd, void (*ready)(void *context), void *context)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

	*source = (struct source){.ready = ready, .context = context, .fd = fd};
	return epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

void loop_remove(int loop, struct source *source)
{
	epoll_ctl(loop, EPOLL_CTL_DEL, source->fd, NULL);
	source->ready = NULL;
}

int loop_turn(int loop, int timeout_ms)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int count = epoll_wait(loop, events, EVENTS_AT_ONCE, timeout_ms);

	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < count; i++) {
		const struct source *source = events[i].data.ptr;

		/* One of the others may have removed it in this turn. */
		if (source->ready)
			source->ready(source->context);
	}
	return 0;
}
