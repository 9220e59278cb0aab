/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker runs one guest and nothing else. Two threads: one runs the guest, the other waits for
 * umbrad's word, leaves it in a mailbox and kicks the guest. When umbrad is gone, so is the worker.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/console.h"
#include "daemon/log.h"
#include "daemon/message.h"
#include "daemon/shared.h"
#include "daemon/umbrad.h"
#include "daemon/worker.h"
#include "policy/pilot.h"

enum { NS_PER_SECOND = 1000000000 };

struct worker {
	int fd;
	struct message_start start;
	struct shared_counters *shared;
	struct umbra_guest *guest;
	struct pilot *pilot;
	struct console console;

	/* The mailbox: umbrad sends a wish only after the last one was answered. */
	pthread_mutex_t lock;
	bool has_wish;
	struct message wish;
	int event; /* wakes an idle guest's thread */
};

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/* Without umbrad nobody wants the guest: there is nothing to save, so nothing to wait for. */
static void send_or_die(struct worker *worker, enum message_type type, struct message *message)
{
	if (message_send(worker->fd, type, message))
		_exit(0);
}

static void send_failed(struct worker *worker, const struct umbra_error *error)
{
	struct message message = {0};

	snprintf(message.failed.text, sizeof(message.failed.text), "%.80s%s%.50s: %.120s",
		 error->subject, error->place[0] ? " " : "", error->place, error->text);
	send_or_die(worker, MESSAGE_FAILED, &message);
}

static void fill_switch(struct message_switch *made, uint64_t number,
			const struct switch_record *record)
{
	made->number = number;
	made->record = record->record;
	snprintf(made->reason, sizeof(made->reason), "%s", record->reason);
}

static void on_decision(void *context, const struct policy_decision *decision)
{
	struct message message = {0};

	message.decision.record = *decision;
	message.decision.record.reason = NULL;
	snprintf(message.decision.reason, sizeof(message.decision.reason), "%s", decision->reason);
	send_or_die(context, MESSAGE_DECISION, &message);
}

static void on_switch(void *context, uint64_t number, const struct switch_record *record)
{
	struct message message = {0};

	fill_switch(&message.switched, number, record);
	send_or_die(context, MESSAGE_SWITCH, &message);
}

/* STOP and the end of the socket mean the same, whatever the guest is doing: no one wants it now.
 */
static void *read_commands(void *context)
{
	struct worker *worker = context;
	struct message message;

	while (message_receive(worker->fd, &message, NULL) > 0 &&
	       message.header.type == MESSAGE_CHANGE) {
		pthread_mutex_lock(&worker->lock);
		worker->wish = message;
		worker->has_wish = true;
		pthread_mutex_unlock(&worker->lock);
		umbra_guest_kick(worker->guest);
		eventfd_write(worker->event, 1);
	}
	_exit(0);
}

/* 0 or a negative errno; the text says why not. */
static int carry_out(struct worker *worker, const struct message_change *change,
		     struct message_changed *ret)
{
	struct umbra_error error = {0};
	const struct switch_record *switches;
	size_t nr_switches;
	int code;

	if (!change->has_mode) {
		code = pilot_set_policy(worker->pilot, change->policy);
		if (code)
			snprintf(ret->text, sizeof(ret->text),
				 "a bare guest has no VMM: its policy is pinned for ever");
		return code;
	}
	if (change->mode != (uint32_t)umbra_guest_mode(worker->guest)) {
		code = pilot_switch(worker->pilot, change->mode, "operator", &error);
		if (code) {
			snprintf(ret->text, sizeof(ret->text), "%s", error.text);
			return code;
		}
		nr_switches = pilot_switches(worker->pilot, &switches);
		ret->switched = 1;
		fill_switch(&ret->made, pilot_nr_switches(worker->pilot),
			    &switches[nr_switches - 1]);
	}
	return pilot_set_policy(worker->pilot, POLICY_PINNED);
}

static void empty_mailbox(struct worker *worker)
{
	struct message wish, message = {0};
	bool has_wish;

	pthread_mutex_lock(&worker->lock);
	has_wish = worker->has_wish;
	if (has_wish)
		wish = worker->wish;
	worker->has_wish = false;
	pthread_mutex_unlock(&worker->lock);
	if (!has_wish)
		return;
	message.request = wish.request;
	message.changed.error = carry_out(worker, &wish.change, &message.changed);
	message.changed.policy = pilot_policy(worker->pilot);
	send_or_die(worker, MESSAGE_CHANGED, &message);
}

static void send_ended(struct worker *worker)
{
	struct message message = {0};
	struct message_ended *ended = &message.ended;

	ended->end = *umbra_guest_end(worker->guest);
	if (ended->end.cpu_mode)
		snprintf(ended->cpu_mode, sizeof(ended->cpu_mode), "%s", ended->end.cpu_mode);
	ended->end.cpu_mode = NULL;
	for (unsigned int i = 0; i < umbra_guest_cpus(worker->guest); i++)
		umbra_guest_registers(worker->guest, i, &ended->registers[i]);
	umbra_guest_memory_hash(worker->guest, ended->memory_hash);
	send_or_die(worker, MESSAGE_ENDED, &message);
}

/* Sleeps until the monotonic @deadline or umbrad's word. Whether there was one. */
static bool sleep_until(struct worker *worker, uint64_t deadline)
{
	uint64_t now = monotonic_ns();
	uint64_t ns = deadline > now ? deadline - now : 0;
	struct timespec timeout = {.tv_sec = ns / NS_PER_SECOND, .tv_nsec = ns % NS_PER_SECOND};
	struct pollfd event = {.fd = worker->event, .events = POLLIN};
	eventfd_t value;

	if (ppoll(&event, 1, &timeout, NULL) <= 0)
		return false;
	eventfd_read(worker->event, &value);
	return true;
}

/* The guest sleeps for some guest time; that is to be as much wall time (nominally nanoseconds). */
static void wait_idle(struct worker *worker)
{
	uint64_t now = umbra_guest_time(worker->guest);
	uint64_t wake = umbra_guest_wake_time(worker->guest);
	uint64_t deadline = monotonic_ns() + (wake > now ? wake - now : 0);

	while (sleep_until(worker, deadline))
		empty_mailbox(worker);
}

static void run_guest(struct worker *worker)
{
	for (;;) {
		switch (pilot_run(worker->pilot, UINT64_MAX)) {
		case UMBRA_EVENT_IDLE: wait_idle(worker); break;
		case UMBRA_EVENT_ENDED: send_ended(worker); return;
		default: break;
		}
		empty_mailbox(worker);
	}
}

/* The files that come with MESSAGE_START; -1 where there is none. */
struct files {
	int image, initrd;
};

/* A private mapping: a file that shrinks meanwhile costs this worker, nobody else. */
static int map_file(int fd, const char *name, const void **ret_data, size_t *ret_size,
		    struct umbra_error *ret_error)
{
	struct stat status;
	void *data;

	if (fstat(fd, &status) || !S_ISREG(status.st_mode) || !status.st_size)
		return umbra_error_set(ret_error, -ENOEXEC, name, NULL,
				       "a file that is not empty was expected");
	data = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return umbra_error_set(ret_error, -errno, name, NULL, "%s", strerror(errno));
	*ret_data = data;
	*ret_size = status.st_size;
	return 0;
}

static int load_image(struct worker *worker, const struct files *files,
		      struct umbra_error *ret_error)
{
	const struct message_start *start = &worker->start;
	struct umbra_module initrd = {.name = start->initrd};
	struct umbra_image image = {
		.name = start->image,
		.append = start->append,
		.initrd = files->initrd < 0 ? NULL : &initrd,
	};
	int code = map_file(files->image, image.name, &image.data, &image.size, ret_error);

	if (!code && image.initrd)
		code = map_file(files->initrd, initrd.name, &initrd.data, &initrd.size, ret_error);
	if (!code)
		code = umbra_guest_load(worker->guest, &image, ret_error);
	if (image.data)
		munmap((void *)image.data, image.size);
	if (initrd.data)
		munmap((void *)initrd.data, initrd.size);
	return code;
}

static int create_guest(struct worker *worker, const struct files *files,
			struct umbra_error *ret_error)
{
	const struct message_start *start = &worker->start;
	const struct umbra_guest_config config = {
		.name = start->name,
		.mode = start->mode,
		.clock = start->clock,
		.memory = start->memory,
		.cpus = start->cpus,
		.processor = umbra_processor_name(start->processor),
		.interval = start->interval,
		.cost = &start->cost,
		.pace = true,
		.console = {.write = start->console ? console_write : NULL,
			    .context = &worker->console},
	};
	const struct pilot_config pilot = {
		.kind = start->policy,
		.cost = &start->cost,
		.decision = on_decision,
		.switched = on_switch,
		.context = worker,
	};
	int code;

	console_init(&worker->console, start->name);
	code = umbra_guest_create(&config, &worker->shared->counters, &worker->guest, ret_error);
	if (!code)
		code = load_image(worker, files, ret_error);
	return code ? code : pilot_create(worker->guest, &pilot, &worker->pilot, ret_error);
}

/* The first message, and the memory that came with it. 0 or a negative errno. */
static int receive_start(struct worker *worker, struct files *ret_files)
{
	static const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct message message;
	int fds[MESSAGE_FDS_MAX];

	if (message_receive(worker->fd, &message, fds) != 1 ||
	    message.header.type != MESSAGE_START || fds[0] < 0 || fds[1] < 0)
		return -EBADMSG;
	worker->start = message.start;
	if ((fcntl(fds[0], F_GET_SEALS) & seals) != seals)
		return -EBADMSG;
	worker->shared = shared_map(fds[0], true);
	close(fds[0]);
	*ret_files = (struct files){.image = fds[1], .initrd = fds[2]};
	return worker->shared ? 0 : -errno;
}

int worker_run(int fd)
{
	struct worker worker = {.fd = fd, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct umbra_error error = {0};
	struct message message = {0};
	pthread_t commands;
	struct files files;
	int code;

	/* A Ctrl-C goes to the whole group, but it is umbrad that stops workers. */
	signal(SIGINT, SIG_IGN);
	prctl(PR_SET_NAME, "umbra-guest");
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	code = receive_start(&worker, &files);
	if (code) {
		log_write(LOG_ERR, NULL, "worker: no start: %s", strerror(-code));
		return STATUS_FAULT;
	}
	code = create_guest(&worker, &files, &error);
	close(files.image);
	close(files.initrd);
	worker.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (code) {
		send_failed(&worker, &error);
	} else {
		shared_begin(worker.shared);
		send_or_die(&worker, MESSAGE_RUNNING, &message);
		if (worker.event < 0 || pthread_create(&commands, NULL, read_commands, &worker))
			return STATUS_FAULT;
		run_guest(&worker);
	}
	/* The other thread still holds the guest; the end of the process frees it. */
	_exit(0);
}
