/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel with counters of a processor, for the collector perf_event: what it refuses and what it
 * counts is the test's to say.
 */
#ifndef UNIT_PERF_FIXTURE_H
#define UNIT_PERF_FIXTURE_H

#include "collectors/perf_event.h"

enum { PERF_FD_BASE = 1000, PERF_FDS_MAX = 4096 };

struct perf_fd {
	bool open;
	struct perf_event_attr attr;
	pid_t tid;
	int leader; /* index of its own, or of the leader */
	uint64_t value;
	uint64_t enabled, running; /* of leaders */
};

struct perf_fake {
	struct perf_fd fds[PERF_FDS_MAX];
	size_t nr_open, nr_opened;
	/* 0 or the errno with which it is refused; NULL: never. */
	int (*refuse)(const struct perf_event_attr *attr, pid_t tid);
	size_t fds_max; /* EMFILE beyond; 0: none */
	pid_t dead;     /* of this thread nothing can be opened or read */
	char root[64];
	struct collector_settings settings;
	void *collector;
};

/* Folders for /proc and /sys; @cpuinfo may be NULL: there is none. */
void perf_fake_init(struct perf_fake *fake, const char *cpuinfo);
/* Begins the collector. */
void perf_fake_start(struct perf_fake *fake);
/* Ends it, checks that no descriptor is left, removes the folders. */
void perf_fake_end(struct perf_fake *fake);
/* A file below the root, "proc/sys/kernel/perf_event_paranoid"; makes its folders. */
void perf_fake_write(struct perf_fake *fake, const char *path, const char *text);

/* The thread's event of this kind, or NULL. */
struct perf_fd *perf_fake_find(struct perf_fake *fake, pid_t tid, uint32_t type, uint64_t config);
/* Events of the thread's that are open. */
size_t perf_fake_count(const struct perf_fake *fake, pid_t tid);
/* Lets all groups of hardware events of the thread run on. */
void perf_fake_run(struct perf_fake *fake, pid_t tid, uint64_t enabled, uint64_t running);

/* The first lines of cpuinfo of a processor. */
#define PERF_CPUINFO(vendor, family, model, name)                                                  \
	"processor\t: 0\nvendor_id\t: " vendor "\ncpu family\t: " #family "\nmodel\t\t: " #model   \
	"\nmodel name\t: " name "\ncpu MHz\t\t: 3400.123\n\nprocessor\t: 1\nvendor_id\t: Other\n"
#define PERF_SKYLAKE  PERF_CPUINFO("GenuineIntel", 6, 85, "Intel(R) Xeon(R) Gold CPU @ 2.50GHz")
#define PERF_HASWELL  PERF_CPUINFO("GenuineIntel", 6, 63, "Intel(R) Xeon(R) CPU E5 @ 2.30GHz")
#define PERF_ICELAKE  PERF_CPUINFO("GenuineIntel", 6, 106, "Intel(R) Xeon(R) CPU @ 2.00GHz")
#define PERF_SAPPHIRE PERF_CPUINFO("GenuineIntel", 6, 143, "Intel(R) Xeon(R) Platinum 8480")
#define PERF_ZEN3     PERF_CPUINFO("AuthenticAMD", 25, 1, "AMD EPYC 7763 64-Core Processor")
#define PERF_ZEN4     PERF_CPUINFO("AuthenticAMD", 25, 17, "AMD EPYC 9654 96-Core Processor")

#endif
