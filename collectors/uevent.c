/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collectors/proc.h"
#include "collectors/uevent.h"

/* As the kernel's UEVENT_BUFFER_SIZE, and what stands before. */
enum { MESSAGE_MAX = 4096, GROUP_KERNEL = 1, RECEIVE_BUFFER = 1 << 20, MESSAGES_AT_ONCE = 256 };

int uevent_open(void)
{
	const struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = GROUP_KERNEL,
	};
	const int size = RECEIVE_BUFFER;
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);
	int error;

	if (fd < 0)
		return -errno;
	/* As much as we get: what overruns is found by a scan. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (!bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

bool kvm_folder_parse(const char *name, pid_t *ret_tid, int *ret_fd)
{
	char tid_text[KVM_FOLDER_MAX];
	const char *dash = strchr(name, '-');
	long tid, fd;

	if (!dash || (size_t)(dash - name) >= sizeof(tid_text))
		return false;
	memcpy(tid_text, name, (size_t)(dash - name));
	tid_text[dash - name] = '\0';
	tid = proc_number(tid_text, INT_MAX);
	fd = proc_number(dash + 1, INT_MAX);
	if (tid <= 0 || fd < 0)
		return false;
	*ret_tid = (pid_t)tid;
	*ret_fd = (int)fd;
	return true;
}

/* What follows "KEY=" in @pair, or NULL. */
static const char *value_of(const char *pair, const char *key)
{
	size_t length = strlen(key);

	return !strncmp(pair, key, length) && pair[length] == '=' ? pair + length + 1 : NULL;
}

/* "/kvm/TID-FD" */
static void take_folder(const char *path, struct uevent *ret)
{
	const char *name = strrchr(path, '/');
	pid_t tid;
	int fd;

	if (!name || !kvm_folder_parse(name + 1, &tid, &fd))
		return;
	ret->fd = fd;
	snprintf(ret->folder, sizeof(ret->folder), "%d-%d", tid, fd);
}

bool uevent_parse(const char *message, size_t length, struct uevent *ret)
{
	struct uevent event = {.fd = -1};
	bool is_kvm = false, has_event = false;
	const char *end = message + length, *value;

	if (!length || end[-1])
		return false;
	/* Behind "ACTION@DEVPATH" pairs, a NUL behind each. */
	for (const char *pair = message; pair < end; pair += strlen(pair) + 1) {
		if ((value = value_of(pair, "DEVPATH"))) {
			is_kvm = !strcmp(value, "/devices/virtual/misc/kvm");
		} else if ((value = value_of(pair, "EVENT"))) {
			event.created = !strcmp(value, "create");
			has_event = event.created || !strcmp(value, "destroy");
		} else if ((value = value_of(pair, "PID"))) {
			event.tid = (pid_t)proc_number(value, INT_MAX);
		} else if ((value = value_of(pair, "STATS_PATH"))) {
			take_folder(value, &event);
		}
	}
	if (!is_kvm || !has_event || event.tid <= 0)
		return false;
	*ret = event;
	return true;
}

/* -ENOMSG: it is none of the kernel's. */
static ssize_t receive(int fd, char *message)
{
	struct sockaddr_nl sender = {0};
	struct iovec part = {message, MESSAGE_MAX};
	struct msghdr header = {
		.msg_name = &sender,
		.msg_namelen = sizeof(sender),
		.msg_iov = &part,
		.msg_iovlen = 1,
	};
	ssize_t length = recvmsg(fd, &header, MSG_DONTWAIT);

	if (length < 0)
		return -errno;
	if (!length)
		return -EPIPE;
	/* Whoever may administer the network could tell us of VMs too. */
	if (header.msg_namelen >= sizeof(sender) && sender.nl_family == AF_NETLINK &&
	    sender.nl_pid != 0)
		return -ENOMSG;
	return header.msg_flags & MSG_TRUNC ? -ENOMSG : length;
}

int uevent_read(int fd, struct uevent *ret)
{
	char message[MESSAGE_MAX];

	for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
		ssize_t length = receive(fd, message);

		if (length == -EAGAIN)
			return 0;
		if (length == -ENOMSG || length == -EINTR)
			continue;
		if (length < 0)
			return (int)length;
		if (uevent_parse(message, (size_t)length, ret))
			return 1;
	}
	return 0;
}
