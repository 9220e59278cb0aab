/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The collector perf_event with the kernel behind it replaced, for tests. */
#ifndef COLLECTORS_PERF_EVENT_H
#define COLLECTORS_PERF_EVENT_H

#include <linux/perf_event.h>

#include "collectors/collector.h"

struct perf_event_kernel {
	/* As perf_event_open() for any CPU: a descriptor, or -1 and errno. */
	int (*open)(void *context, struct perf_event_attr *attr, pid_t tid, int group_fd);
	/* As read() and close(). */
	ssize_t (*read)(void *context, int fd, void *buffer, size_t size);
	void (*close)(void *context, int fd);
	void *context;
};

/* As perf_event_collector.create(); @kernel is copied. */
void *perf_event_create(const struct collector_settings *settings,
			const struct perf_event_kernel *kernel);

#endif
