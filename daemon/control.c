/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/control.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* linux/fcntl.h; Linux 5.1 */
#endif

struct control {
	uint32_t frozen;
};

struct control *control_create(int *ret_fd)
{
	int fd = memfd_create("umbra-control", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *memory = MAP_FAILED;
	int code;

	if (fd < 0)
		return NULL;
	if (!ftruncate(fd, sizeof(struct control)))
		memory = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			      0);
	/* This mapping stays writable; no later one is. */
	if (memory == MAP_FAILED ||
	    fcntl(fd, F_ADD_SEALS,
		  F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		code = errno;
		if (memory != MAP_FAILED)
			munmap(memory, sizeof(struct control));
		close(fd);
		errno = code;
		return NULL;
	}
	*ret_fd = fd;
	return memory;
}

const struct control *control_map(int fd)
{
	void *memory = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void control_unmap(const struct control *control)
{
	if (control)
		munmap((void *)control, sizeof(*control));
}

void control_set_frozen(struct control *control, bool frozen)
{
	__atomic_store_n(&control->frozen, frozen, __ATOMIC_SEQ_CST);
}

bool control_frozen(const struct control *control)
{
	return __atomic_load_n(&control->frozen, __ATOMIC_SEQ_CST) != 0;
}
