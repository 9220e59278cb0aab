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

int shared_read(const struct shared_counters *shared, struct umbra_counters *ret_counters)
{
	if (__atomic_load_n(&shared->magic, __ATOMIC_ACQUIRE) != SHARED_MAGIC ||
	    __atomic_load_n(&shared->version, __ATOMIC_RELAXED) != SHARED_VERSION ||
	    __atomic_load_n(&shared->size, __ATOMIC_RELAXED) != sizeof(*shared))
		return -EBADMSG;
	umbra_counters_read(&shared->counters, ret_counters);
	return 0;
}
