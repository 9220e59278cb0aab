/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/perf_fixture.h"

static int fake_open(void *context, struct perf_event_attr *attr, pid_t tid, int group_fd)
{
	struct perf_fake *fake = context;
	int error = fake->refuse ? fake->refuse(attr, tid) : 0;
	size_t i = 0;

	assert_int_equal(attr->size, sizeof(*attr));
	if (!error && tid && tid == fake->dead)
		error = ESRCH;
	if (!error && fake->fds_max && fake->nr_open >= fake->fds_max)
		error = EMFILE;
	if (error) {
		errno = error;
		return -1;
	}
	while (fake->fds[i].open)
		assert_int_not_equal(++i, PERF_FDS_MAX);
	if (group_fd >= 0) {
		assert_true(fake->fds[group_fd - PERF_FD_BASE].open);
		assert_int_equal(fake->fds[group_fd - PERF_FD_BASE].tid, tid);
	}
	fake->fds[i] = (struct perf_fd){
		.open = true,
		.attr = *attr,
		.tid = tid,
		.leader = group_fd >= 0 ? group_fd - PERF_FD_BASE : (int)i,
	};
	fake->nr_open++;
	fake->nr_opened++;
	return (int)i + PERF_FD_BASE;
}

/* The layout of a group's counts as perf_event_open(2) has it, in the order of opening. */
static ssize_t fake_read(void *context, int fd, void *buffer, size_t size)
{
	struct perf_fake *fake = context;
	const struct perf_fd *leader = &fake->fds[fd - PERF_FD_BASE];
	uint64_t *words = buffer, nr = 0;

	assert_true(leader->open);
	assert_int_equal(leader->leader, fd - PERF_FD_BASE);
	assert_int_equal(leader->attr.read_format, PERF_FORMAT_GROUP |
							   PERF_FORMAT_TOTAL_TIME_ENABLED |
							   PERF_FORMAT_TOTAL_TIME_RUNNING);
	if (leader->tid == fake->dead)
		return 0;
	for (size_t i = 0; i < PERF_FDS_MAX; i++) {
		if (!fake->fds[i].open || fake->fds[i].leader != fd - PERF_FD_BASE)
			continue;
		assert_true((4 + nr) * sizeof(uint64_t) <= size);
		words[3 + nr++] = fake->fds[i].value;
	}
	words[0] = nr;
	words[1] = leader->enabled;
	words[2] = leader->running;
	return (ssize_t)((3 + nr) * sizeof(uint64_t));
}

static void fake_close(void *context, int fd)
{
	struct perf_fake *fake = context;

	assert_true(fake->fds[fd - PERF_FD_BASE].open);
	fake->fds[fd - PERF_FD_BASE].open = false;
	fake->nr_open--;
}

void perf_fake_write(struct perf_fake *fake, const char *path, const char *text)
{
	char full[256];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", fake->root, path);
	for (char *slash = full + strlen(fake->root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		assert_true(!mkdir(full, 0700) || errno == EEXIST);
		*slash = '/';
	}
	file = fopen(full, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

void perf_fake_init(struct perf_fake *fake, const char *cpuinfo)
{
	static char proc[80], sys[80];

	memset(fake, 0, sizeof(*fake));
	strcpy(fake->root, "/tmp/umbra-perf-XXXXXX");
	assert_non_null(mkdtemp(fake->root));
	snprintf(proc, sizeof(proc), "%s/proc", fake->root);
	snprintf(sys, sizeof(sys), "%s/sys", fake->root);
	fake->settings.roots = (struct collector_roots){proc, sys};
	if (cpuinfo)
		perf_fake_write(fake, "proc/cpuinfo", cpuinfo);
}

void perf_fake_start(struct perf_fake *fake)
{
	const struct perf_event_kernel kernel = {fake_open, fake_read, fake_close, fake};

	fake->collector = perf_event_create(&fake->settings, &kernel);
	assert_non_null(fake->collector);
	/* What was tried is not kept. */
	assert_int_equal(fake->nr_open, 0);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	return remove(path);
}

void perf_fake_end(struct perf_fake *fake)
{
	perf_event_collector.destroy(fake->collector);
	assert_int_equal(fake->nr_open, 0);
	assert_int_equal(nftw(fake->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

struct perf_fd *perf_fake_find(struct perf_fake *fake, pid_t tid, uint32_t type, uint64_t config)
{
	for (size_t i = 0; i < PERF_FDS_MAX; i++) {
		struct perf_fd *fd = &fake->fds[i];

		if (fd->open && fd->tid == tid && fd->attr.type == type &&
		    fd->attr.config == config)
			return fd;
	}
	return NULL;
}

size_t perf_fake_count(const struct perf_fake *fake, pid_t tid)
{
	size_t nr = 0;

	for (size_t i = 0; i < PERF_FDS_MAX; i++)
		nr += fake->fds[i].open && fake->fds[i].tid == tid;
	return nr;
}

void perf_fake_run(struct perf_fake *fake, pid_t tid, uint64_t enabled, uint64_t running)
{
	for (size_t i = 0; i < PERF_FDS_MAX; i++) {
		struct perf_fd *fd = &fake->fds[i];

		if (!fd->open || fd->tid != tid || fd->leader != (int)i ||
		    fd->attr.type == PERF_TYPE_SOFTWARE)
			continue;
		fd->enabled += enabled;
		fd->running += running;
	}
}
