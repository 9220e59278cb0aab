/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "web/process.h"

static uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t pages = UINT64_MAX;

	if (!file)
		return UINT64_MAX;
	if (fscanf(file, "%*u %" SCNu64, &pages) == 1)
		pages *= sysconf(_SC_PAGESIZE);
	fclose(file);
	return pages;
}

static uint64_t open_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (!directory)
		return UINT64_MAX;
	for (const struct dirent *entry; (entry = readdir(directory));)
		count += entry->d_name[0] != '.';
	closedir(directory);
	/* The directory's own is closed by now. */
	return count - 1;
}

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void process_read(struct process_view *ret_view, time_t started)
{
	struct rusage usage = {0};
	struct rlimit limit;

	getrusage(RUSAGE_SELF, &usage);
	*ret_view = (struct process_view){
		.started = started,
		.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime),
		.resident_bytes = resident_bytes(),
		.open_fds = open_fds(),
		.max_fds = getrlimit(RLIMIT_NOFILE, &limit) ? UINT64_MAX : limit.rlim_cur,
	};
}
