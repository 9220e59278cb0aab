/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/shared.h"

int shared_create(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	/* A worker that could shrink it would crash umbrad with SIGBUS. */
	if (ftruncate(fd, sizeof(struct shared_counters)) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		int code = -errno;

		close(fd);
		return code;
	}
	return fd;
}

struct shared_counters *shared_map(int fd, bool writable)
{
	struct stat status;
	void *memory;

	if (fstat(fd, &status))
		return NULL;
	if (status.st_size != sizeof(struct shared_counters)) {
		errno = EBADMSG;
		return NULL;
	}
	memory = mmap(NULL, sizeof(struct shared_counters),
		      writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void shared_unmap(struct shared_counters *shared)
{
	if (shared)
		munmap(shared, sizeof(*shared));
}

void shared_begin(struct shared_counters *shared)
{
	shared->version = SHARED_VERSION;
	shared->size = sizeof(*shared);
	__atomic_store_n(&shared->magic, SHARED_MAGIC, __ATOMIC_RELEASE);
}

static bool has_begun(const struct shared_counters *shared)
{
	return __atomic_load_n(&shared->magic, __ATOMIC_ACQUIRE) == SHARED_MAGIC &&
	       SHARED_GET(shared->version) == SHARED_VERSION &&
	       SHARED_GET(shared->size) == sizeof(*shared);
}

void shared_set_known(struct shared_counters *shared, const struct umbra_known *known)
{
	for (size_t i = 0; i < sizeof(known->bits) / sizeof(known->bits[0]); i++)
		SHARED_SET(shared->known.bits[i], known->bits[i]);
}

static bool has_counted(const struct shared_counters *shared)
{
	return has_begun(shared) && SHARED_GET(shared->state.phase) >= WORKER_RUNNING;
}

int shared_read(const struct shared_counters *shared, struct umbra_counters *ret_counters)
{
	if (!has_counted(shared))
		return -EBADMSG;
	umbra_counters_read(&shared->counters, ret_counters);
	return 0;
}

int shared_read_kvm(const struct shared_counters *shared, struct umbra_known *ret_known,
		    struct umbra_kvm_figures *ret_figures)
{
	if (!has_counted(shared))
		return -EBADMSG;
	for (size_t i = 0; i < sizeof(ret_known->bits) / sizeof(ret_known->bits[0]); i++)
		ret_known->bits[i] = SHARED_GET(shared->known.bits[i]);
	umbra_kvm_figures_read(&shared->kvm, ret_figures);
	return 0;
}

int shared_read_state(const struct shared_counters *shared, struct worker_state *ret_state)
{
	const struct worker_state *state = &shared->state;

	*ret_state = (struct worker_state){.phase = WORKER_STARTING};
	if (!has_begun(shared))
		return -EBADMSG;
	*ret_state = (struct worker_state){
		.phase = SHARED_GET(state->phase),
		.cpu = SHARED_GET(state->cpu),
		.rip = SHARED_GET(state->rip),
		.heartbeat = SHARED_GET(state->heartbeat),
		.wake = SHARED_GET(state->wake),
		.host_rip = SHARED_GET(state->host_rip),
		.host_address = SHARED_GET(state->host_address),
		.signal = SHARED_GET(state->signal),
	};
	if (ret_state->phase >= WORKER_PHASE_COUNT)
		ret_state->phase = WORKER_STARTING;
	if (ret_state->cpu > WORKER_CPU_LONG)
		ret_state->cpu = WORKER_CPU_UNKNOWN;
	return 0;
}
