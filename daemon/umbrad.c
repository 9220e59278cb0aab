/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's one loop: workers, signals, operators' wishes and the clock that samples. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/changes.h"
#include "daemon/sampler.h"
#include "daemon/sockets.h"
#include "daemon/spawn.h"
#include "daemon/umbrad.h"
#include "web/server.h"

enum {
	STOP_SECONDS = 3,       /* that workers have to stop before they are killed */
	MESSAGES_AT_ONCE = 256, /* of one worker, before others have their turn */
	EVENTS_AT_ONCE = 16,
};

/* What an epoll event is about; workers have the guest's index plus SOURCE_COUNT. */
enum source { SOURCE_SIGNAL, SOURCE_TIMER, SOURCE_CHANGES, SOURCE_COUNT };

struct umbrad {
	const struct config *config;
	struct registry registry;
	struct board *board;
	struct changes *changes;
	struct web *web;
	int epoll, signals, timer, changes_fd;
	bool socket_is_ours; /* to be removed */
	bool stopping;
	unsigned int stop_signals;
};

static void publish(struct umbrad *umbrad)
{
	struct snapshot *snapshot = sampler_take(&umbrad->registry);

	/* Without memory readers keep the last one. */
	if (snapshot)
		board_publish(umbrad->board, snapshot);
}

static int watch(struct umbrad *umbrad, int fd, uint64_t source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = source};

	return epoll_ctl(umbrad->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* The socket has nothing more to say; the process is reaped when it dies. */
static void hang_up(struct guest *guest)
{
	if (guest->fd < 0)
		return;
	close(guest->fd);
	guest->fd = -1;
}

/* Takes what the guest's worker has to say, at most so many messages. */
static void listen_to(struct umbrad *umbrad, struct guest *guest, int at_most)
{
	enum guest_state before = guest->state;
	struct message message;
	int r = -EAGAIN;

	while (guest->fd >= 0 && at_most--) {
		r = message_receive(guest->fd, &message, NULL);
		if (r == -EAGAIN)
			break;
		if (r > 0)
			r = message_check(&message) ? -EBADMSG : 1;
		if (r > 0 && message.header.type == MESSAGE_CHANGED)
			r = changes_answered(umbrad->changes, guest, &message.changed) ? -EBADMSG
										       : 1;
		else if (r > 0)
			registry_take(guest, &message);
		if (r > 0)
			continue;
		if (r < 0) {
			registry_fail(guest, "its worker sent something that is no message: %s",
				      strerror(-r));
			kill(guest->pid, SIGKILL);
		}
		hang_up(guest);
	}
	if (guest->state != before && guest->state == GUEST_FAILED)
		fprintf(stderr, "umbrad: guest %s: %s\n", guest->config->name, guest->end.text);
	else if (guest->state != before && guest->state == GUEST_ENDED)
		fprintf(stderr, "umbrad: guest %s: ended: %s\n", guest->config->name,
			umbra_end_reason_name(guest->end.reason));
}

static void reap(struct umbrad *umbrad)
{
	struct guest *guest;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		guest = registry_find_pid(&umbrad->registry, pid);
		if (!guest)
			continue;
		/* Its last words are still in the socket. */
		listen_to(umbrad, guest, MESSAGES_AT_ONCE * 64);
		hang_up(guest);
		guest->pid = 0;
		if (guest->state == GUEST_ENDED || guest->state == GUEST_FAILED || umbrad->stopping)
			continue;
		if (WIFSIGNALED(status))
			registry_fail(guest, "its worker was killed by signal %d (%s)",
				      WTERMSIG(status), strsignal(WTERMSIG(status)));
		else
			registry_fail(guest, "its worker exited with status %d",
				      WEXITSTATUS(status));
		fprintf(stderr, "umbrad: guest %s: %s\n", guest->config->name, guest->end.text);
	}
}

static void kill_workers(struct umbrad *umbrad)
{
	for (size_t i = 0; i < umbrad->registry.nr_guests; i++) {
		if (umbrad->registry.guests[i].pid > 0)
			kill(umbrad->registry.guests[i].pid, SIGKILL);
	}
}

static void take_signals(struct umbrad *umbrad)
{
	struct signalfd_siginfo info;

	while (read(umbrad->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			reap(umbrad);
			changes_check(umbrad->changes, &umbrad->registry);
			publish(umbrad);
			continue;
		}
		umbrad->stopping = true;
		if (++umbrad->stop_signals > 1)
			kill_workers(umbrad);
	}
}

static void tick(struct umbrad *umbrad)
{
	uint64_t expirations;

	if (read(umbrad->timer, &expirations, sizeof(expirations)) < 0)
		return;
	changes_check(umbrad->changes, &umbrad->registry);
	publish(umbrad);
}

static void handle(struct umbrad *umbrad, uint64_t source)
{
	switch (source) {
	case SOURCE_SIGNAL: take_signals(umbrad); break;
	case SOURCE_TIMER: tick(umbrad); break;
	case SOURCE_CHANGES: changes_begin(umbrad->changes, &umbrad->registry); break;
	default:
		listen_to(umbrad, &umbrad->registry.guests[source - SOURCE_COUNT],
			  MESSAGES_AT_ONCE);
		break;
	}
	/* Whoever is told that something changed must see it changed. */
	if (changes_finished(umbrad->changes)) {
		publish(umbrad);
		changes_finish(umbrad->changes);
	}
}

static int wait_and_handle(struct umbrad *umbrad, int timeout_ms)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int count = epoll_wait(umbrad->epoll, events, EVENTS_AT_ONCE, timeout_ms);

	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < count; i++)
		handle(umbrad, events[i].data.u64);
	return 0;
}

static void start_guests(struct umbrad *umbrad)
{
	for (size_t i = 0; i < umbrad->registry.nr_guests; i++) {
		struct guest *guest = &umbrad->registry.guests[i];
		struct umbra_error error = {0};
		int code = spawn_worker(guest, umbrad->config->interval, &error);

		if (!code)
			code = watch(umbrad, guest->fd, SOURCE_COUNT + i);
		if (code) {
			registry_fail(guest, "%s: %s", error.subject, error.text);
			fprintf(stderr, "umbrad: guest %s: %s\n", guest->config->name,
				guest->end.text);
		}
	}
}

static bool any_worker(const struct umbrad *umbrad)
{
	for (size_t i = 0; i < umbrad->registry.nr_guests; i++) {
		if (umbrad->registry.guests[i].pid > 0)
			return true;
	}
	return false;
}

static void stop_guests(struct umbrad *umbrad)
{
	struct timespec now;
	time_t deadline;
	bool killed = false;

	for (size_t i = 0; i < umbrad->registry.nr_guests; i++) {
		struct message message = {0};

		if (umbrad->registry.guests[i].fd >= 0)
			message_send(umbrad->registry.guests[i].fd, MESSAGE_STOP, &message);
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	deadline = now.tv_sec + STOP_SECONDS;
	while (any_worker(umbrad)) {
		if (wait_and_handle(umbrad, 200))
			break;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec >= deadline && !killed) {
			kill_workers(umbrad);
			killed = true;
		}
	}
}

/* Signals, clock and queue. 0 or a negative errno. */
static int open_sources(struct umbrad *umbrad)
{
	const struct itimerspec second = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
	sigset_t set;
	int code;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	umbrad->epoll = epoll_create1(EPOLL_CLOEXEC);
	umbrad->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	umbrad->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	umbrad->board = board_create();
	umbrad->changes = changes_create(&umbrad->changes_fd);
	if (umbrad->epoll < 0 || umbrad->signals < 0 || umbrad->timer < 0)
		return -errno;
	if (!umbrad->board || !umbrad->changes)
		return -ENOMEM;
	timerfd_settime(umbrad->timer, 0, &second, NULL);
	code = watch(umbrad, umbrad->signals, SOURCE_SIGNAL);
	if (!code)
		code = watch(umbrad, umbrad->timer, SOURCE_TIMER);
	return code ? code : watch(umbrad, umbrad->changes_fd, SOURCE_CHANGES);
}

static int open_web(struct umbrad *umbrad, int tcp, int local)
{
	const struct web_config config = {
		.board = umbrad->board,
		.started = time(NULL),
		.listen_address = umbrad->config->listen_address,
		.change = changes_ask,
		.context = umbrad->changes,
	};
	int code = web_create(&config, &umbrad->web);

	if (!code)
		code = web_listen(umbrad->web, tcp, false);
	return code ? code : web_listen(umbrad->web, local, true);
}

static void close_all(struct umbrad *umbrad)
{
	changes_close(umbrad->changes, &umbrad->registry);
	web_destroy(umbrad->web);
	stop_guests(umbrad);
	if (umbrad->socket_is_ours)
		unlink(umbrad->config->socket);
	changes_destroy(umbrad->changes);
	board_destroy(umbrad->board);
	registry_free(&umbrad->registry);
	close(umbrad->timer);
	close(umbrad->signals);
	close(umbrad->epoll);
}

static void tell_address(const struct config *config, uint16_t port)
{
	bool v6 = strchr(config->listen_address, ':') != NULL;

	fprintf(stderr, "umbrad: serving http://%s%s%s:%u and %s\n", v6 ? "[" : "",
		config->listen_address, v6 ? "]" : "", port, config->socket);
}

int umbrad_run(const struct config *config)
{
	struct umbrad umbrad = {.config = config};
	struct umbra_error error = {0};
	uint16_t port = 0;
	int tcp, local, code;

	tcp = sockets_listen_tcp(config->listen_address, config->listen_port, &port, &error);
	local = tcp < 0 ? -1 : sockets_listen_unix(config->socket, &error);
	if (local < 0) {
		fprintf(stderr, "umbrad: %s%s%s: %s\n", error.subject, error.place[0] ? " " : "",
			error.place, error.text);
		return STATUS_FAULT;
	}
	umbrad.socket_is_ours = true;
	code = registry_init(&umbrad.registry, config);
	if (!code)
		code = open_sources(&umbrad);
	if (code) {
		fprintf(stderr, "umbrad: %s\n", strerror(-code));
		unlink(config->socket);
		return STATUS_FAULT;
	}
	start_guests(&umbrad);
	publish(&umbrad);
	code = open_web(&umbrad, tcp, local);
	if (!code)
		tell_address(config, port);
	else
		fprintf(stderr, "umbrad: the HTTP server does not start: %s\n", strerror(-code));
	while (!code && !umbrad.stopping)
		code = wait_and_handle(&umbrad, -1);
	umbrad.stopping = true;
	close_all(&umbrad);
	return code ? STATUS_FAULT : 0;
}
