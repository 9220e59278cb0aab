/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/configuration_guest.h"
#include "daemon/privileges.h"
#include "daemon/spawn.h"
#include "daemon/umbrad.h"

/* What a worker keeps of the environment: where the journal reads standard error (daemon/log.c). */
static void fill_environment(char journal_stream[64], char *ret_environment[2])
{
	const char *value = getenv("JOURNAL_STREAM");

	ret_environment[0] = ret_environment[1] = NULL;
	if (!value || snprintf(journal_stream, 64, "JOURNAL_STREAM=%s", value) >= 64)
		return;
	ret_environment[0] = journal_stream;
}

/* In the child, between fork and exec: nothing but system calls. Nothing else of @parent's is kept.
 */
static void become_worker(int fd, pid_t parent, char *const environment[])
{
	char *const arguments[] = {"umbrad", "--role", "worker", "--fd", "3", NULL};
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	/* A worker that hangs, or is stopped, does not see the end of its socket. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	/* dup2() clears close-on-exec, except when both are the same. */
	if (fd == SPAWN_WORKER_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, SPAWN_WORKER_FD);
	close_range(SPAWN_WORKER_FD + 1, ~0u, 0);
	execve("/proc/self/exe", arguments, environment);
	_exit(70);
}

static void copy_name(char ret_name[MESSAGE_NAME_MAX], const char *path)
{
	const char *slash = strrchr(path, '/');

	snprintf(ret_name, MESSAGE_NAME_MAX, "%.*s", MESSAGE_NAME_MAX - 1,
		 slash ? slash + 1 : path);
}

static void fill_start(struct message *message, const struct guest *guest)
{
	const struct guest_config *config = guest->config;
	struct message_start *start = &message->start;

	memset(message, 0, sizeof(*message));
	snprintf(start->name, sizeof(start->name), "%s", config->name);
	copy_name(start->image, config->image);
	copy_name(start->initrd, config->initrd);
	snprintf(start->append, sizeof(start->append), "%s", config->append);
	start->memory = config->memory;
	start->cpus = config->cpus;
	start->processor = config->processor;
	start->cost = config->costs->table.cost;
	start->interval = config->interval;
	start->engine = config->engine;
	start->mode = guest->mode;
	start->clock = config->clock;
	start->policy = guest->policy;
	start->console = config->console;
}

/* Everything but the files, which are open; @initrd is negative where there is none. */
static int start(struct guest *guest, int image, int initrd, const char **ret_what)
{
	struct message message;
	struct shared_counters *shared = NULL;
	int pair[2] = {-1, -1};
	int fds[MESSAGE_FDS_MAX];
	int memory, code;
	pid_t parent = getpid(), pid = -1;
	char journal_stream[64], *environment[2];

	*ret_what = "shared memory";
	memory = shared_create(guest->config->name);
	if (memory < 0)
		return memory;
	shared = shared_map(memory, false);
	code = shared ? 0 : -errno;
	if (!code) {
		*ret_what = "socketpair";
		code = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ? -errno : 0;
	}
	if (!code) {
		fill_start(&message, guest);
		fds[START_FD_COUNTERS] = memory;
		fds[START_FD_CONTROL] = guest->umbrad->registry.control_fd;
		fds[START_FD_IMAGE] = image;
		fds[START_FD_INITRD] = initrd;
		/* It waits in the socket until the worker is there. */
		code = message_send_fds(pair[0], MESSAGE_START, &message, fds,
					initrd < 0 ? START_FD_INITRD : MESSAGE_FDS_MAX);
	}
	if (!code) {
		*ret_what = "fork";
		fill_environment(journal_stream, environment);
		pid = fork();
		if (!pid)
			become_worker(pair[1], parent, environment);
		code = pid < 0 ? -errno : 0;
	}
	close(memory);
	if (pair[1] >= 0)
		close(pair[1]);
	if (code) {
		shared_unmap(shared);
		if (pair[0] >= 0)
			close(pair[0]);
		return code;
	}
	/* umbrad never waits for a worker. */
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	guest->pid = pid;
	guest->fd = pair[0];
	guest->shared = shared;
	return 0;
}

/*
 * A descriptor or a negative errno. umbrad does not wait for a FIFO's writer; the worker refuses
 * what is no regular file.
 */
static int open_file(const char *path, struct umbra_error *ret_error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int code = fd;

	if (fd < 0) {
		code = umbra_error_set(ret_error, -errno, path, NULL, "%s", strerror(errno));
		privileges_explain(ret_error);
	}
	return code;
}

int spawn_worker(struct guest *guest, struct umbra_error *ret_error)
{
	const struct guest_config *config = guest->config;
	int image = open_file(config->image, ret_error), initrd = -1;
	const char *what;
	int code;

	if (image < 0)
		return image;
	if (config->initrd[0]) {
		initrd = open_file(config->initrd, ret_error);
		if (initrd < 0) {
			close(image);
			return initrd;
		}
	}
	code = start(guest, image, initrd, &what);
	close(image);
	if (initrd >= 0)
		close(initrd);
	if (code)
		return umbra_error_set(ret_error, code, what, NULL, "%s", strerror(-code));
	return 0;
}
