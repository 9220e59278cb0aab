/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker runs one guest and nothing else. Two threads: one runs the guest, the other waits for
 * umbrad's word, leaves it in a mailbox and kicks the guest. When umbrad is gone, so is the worker.
 * Before it looks at the first byte that a guest brought, it has all that it will ever need and
 * enters its sandbox.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
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

#include "collectors/kvm_host.h"
#include "collectors/clock.h"
#include "daemon/console.h"
#include "daemon/control.h"
#include "daemon/crash.h"
#include "daemon/log.h"
#include "daemon/message.h"
#include "daemon/sandbox.h"
#include "daemon/shared.h"
#include "daemon/umbrad.h"
#include "daemon/worker.h"
#include "policy/pilot.h"
#include "x86/control.h"

/* What a guest may make its worker map beside its memory: tables and lists of other modes. */
static const uint64_t growth_base = 256ull << 20;
enum { GROWTH_MEMORY_SHARE = 2 };

/* How often a guest of KVM's stands still for a moment, so that umbrad sees that it lives. */
static const uint64_t kvm_interval_ns = 1000000000;

struct worker {
	int fd;
	struct message_start start;
	struct shared_counters *shared;
	const struct control *control;
	struct umbra_guest *guest;
	struct pilot *pilot;
	struct console console;

	/* The mailbox: umbrad sends a wish only after the last one was answered. */
	pthread_mutex_t lock;
	bool has_wish;
	struct message wish;
	int event;          /* wakes an idle guest's thread */
	sem_t commands_run; /* the other thread has done what only a new thread does */
};

static void enter_phase(struct worker *worker, enum worker_phase phase)
{
	SHARED_SET(worker->shared->state.heartbeat, clock_ns());
	SHARED_SET(worker->shared->state.phase, (uint32_t)phase);
}

/* The guest came to an event: umbrad sees that, and where. */
static void note_event(struct worker *worker)
{
	struct worker_state *state = &worker->shared->state;
	struct umbra_registers registers;
	enum worker_cpu cpu = WORKER_CPU_REAL;

	umbra_guest_registers(worker->guest, 0, &registers);
	if (registers.cr0 & CR0_PE)
		cpu = registers.efer & EFER_LMA ? WORKER_CPU_LONG : WORKER_CPU_PROTECTED;
	SHARED_SET(state->rip, registers.rip);
	SHARED_SET(state->cpu, (uint32_t)cpu);
	SHARED_SET(state->heartbeat, clock_ns());
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

	snprintf(message.failed.text, sizeof(message.failed.text), "%.60s%s%.30s: %.160s",
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

static bool is_frozen(void *context)
{
	const struct worker *worker = context;

	return control_frozen(worker->control);
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

	crash_prepare_thread();
	sem_post(&worker->commands_run);
	while (message_receive(worker->fd, &message, NULL) > 0 &&
	       message.header.type != MESSAGE_STOP) {
		if (message.header.type != MESSAGE_PING) {
			pthread_mutex_lock(&worker->lock);
			worker->wish = message;
			worker->has_wish = true;
			pthread_mutex_unlock(&worker->lock);
			eventfd_write(worker->event, 1);
		}
		umbra_guest_kick(worker->guest);
	}
	_exit(0);
}

/* 0 or a negative errno; the text says why not. */
static int carry_out(struct worker *worker, const struct message_change *change,
		     struct message_changed *ret)
{
	struct umbra_error error = {0};
	const struct switch_record *switches;
	const char *why;
	size_t nr_switches;
	int code;

	if (change->has_mode && change->mode != (uint32_t)umbra_guest_mode(worker->guest)) {
		code = pilot_switch(worker->pilot, change->mode,
				    change->configured ? "configuration" : "operator", &error);
		if (code) {
			snprintf(ret->text, sizeof(ret->text), "%s", error.text);
			return code;
		}
		nr_switches = pilot_switches(worker->pilot, &switches);
		ret->switched = 1;
		fill_switch(&ret->made, pilot_nr_switches(worker->pilot),
			    &switches[nr_switches - 1]);
	}
	ret->configured = change->configured;
	code = pilot_set_policy(worker->pilot, change->policy, &why);
	if (code)
		snprintf(ret->text, sizeof(ret->text), "%s", why);
	return code;
}

static void send_changed(struct worker *worker, const struct message *wish)
{
	struct message message = {.request = wish->request};

	message.changed.error = carry_out(worker, &wish->change, &message.changed);
	message.changed.policy = pilot_policy(worker->pilot);
	send_or_die(worker, MESSAGE_CHANGED, &message);
}

/* Of a guest that stands between two instructions, and will not know. */
static void send_translated(struct worker *worker, const struct message *wish)
{
	const struct message_translate *asked = &wish->translate;
	struct message message = {.request = wish->request};
	struct message_translated *translated = &message.translated;
	struct umbra_error error = {0};

	translated->error = umbra_guest_translate(worker->guest, asked->cpu, asked->gva,
						  asked->access, &translated->translation, &error);
	if (translated->error)
		snprintf(translated->text, sizeof(translated->text), "%.60s: %.180s", error.place,
			 error.text);
	send_or_die(worker, MESSAGE_TRANSLATED, &message);
}

static void empty_mailbox(struct worker *worker)
{
	struct message wish;
	bool has_wish;

	pthread_mutex_lock(&worker->lock);
	has_wish = worker->has_wish;
	if (has_wish)
		wish = worker->wish;
	worker->has_wish = false;
	pthread_mutex_unlock(&worker->lock);
	if (!has_wish)
		return;
	if (wish.header.type == MESSAGE_CHANGE)
		send_changed(worker, &wish);
	else
		send_translated(worker, &wish);
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
	uint64_t now = clock_ns();
	uint64_t ns = deadline > now ? deadline - now : 0;
	struct timespec timeout = {.tv_sec = ns / clock_ns_per_second,
				   .tv_nsec = ns % clock_ns_per_second};
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
	uint64_t deadline = clock_ns() + (wake > now ? wake - now : 0);

	SHARED_SET(worker->shared->state.wake, deadline);
	enter_phase(worker, WORKER_IDLE);
	while (sleep_until(worker, deadline))
		empty_mailbox(worker);
	enter_phase(worker, WORKER_RUNNING);
}

static void run_guest(struct worker *worker)
{
	enter_phase(worker, WORKER_RUNNING);
	for (;;) {
		enum umbra_event event = pilot_run(worker->pilot, UINT64_MAX);

		note_event(worker);
		switch (event) {
		case UMBRA_EVENT_IDLE: wait_idle(worker); break;
		case UMBRA_EVENT_ENDED:
			enter_phase(worker, WORKER_ENDED);
			send_ended(worker);
			return;
		default: break;
		}
		empty_mailbox(worker);
	}
}

/* A file that came with MESSAGE_START; one without bytes is none. */
struct file {
	const void *data;
	size_t size;
};

struct files {
	struct file image, initrd;
};

/*
 * Closes @fd; a negative one leaves *ret_file as it is. A private mapping: a file that shrinks
 * meanwhile costs this worker, nobody else.
 */
static int map_file(int fd, const char *name, struct file *ret_file, struct umbra_error *ret_error)
{
	struct stat status;
	void *data;
	int code;

	if (fd < 0)
		return 0;
	if (fstat(fd, &status) || !S_ISREG(status.st_mode) || !status.st_size) {
		close(fd);
		return umbra_error_set(ret_error, -ENOEXEC, name, NULL,
				       "a file that is not empty was expected");
	}
	data = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	code = data == MAP_FAILED ? -errno : 0;
	close(fd);
	if (code)
		return umbra_error_set(ret_error, code, name, NULL, "%s", strerror(-code));
	*ret_file = (struct file){data, status.st_size};
	return 0;
}

static void unmap_file(const struct file *file)
{
	if (file->data)
		munmap((void *)file->data, file->size);
}

static int load_image(struct worker *worker, const struct files *files,
		      struct umbra_error *ret_error)
{
	const struct message_start *start = &worker->start;
	const struct umbra_module initrd = {
		.name = start->initrd, .data = files->initrd.data, .size = files->initrd.size};
	const struct umbra_image image = {
		.name = start->image,
		.data = files->image.data,
		.size = files->image.size,
		.append = start->append,
		.initrd = initrd.data ? &initrd : NULL,
	};
	int code = umbra_guest_load(worker->guest, &image, ret_error);

	unmap_file(&files->image);
	unmap_file(&files->initrd);
	return code;
}

/* The descriptor of /dev/kvm of a host whose KVM has the guest's mode, or a negative errno. */
static int open_kvm(const struct message_start *start, struct umbra_error *ret_error)
{
	struct kvm_host host;
	int fd;

	kvm_host_read("/sys", &host);
	if (!host.available)
		return umbra_error_set(ret_error, -EOPNOTSUPP, "engine kvm", NULL, "%s",
				       host.reason);
	if (host.mode != start->mode)
		return umbra_error_set(ret_error, -EOPNOTSUPP, "mode", umbra_mode_name(start->mode),
				       "the host's KVM has %s: %s",
				       host.mode < UMBRA_MODE_COUNT ? umbra_mode_name(host.mode)
								    : "an unknown one",
				       host.reason);
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return umbra_error_set(
			ret_error, -errno, "/dev/kvm", NULL, "%s%s", strerror(errno),
			errno == EACCES ? ": umbrad's user must be in its group (kvm)" : "");
	return fd;
}

static int create_guest(struct worker *worker, struct umbra_error *ret_error)
{
	const struct message_start *start = &worker->start;
	struct umbra_kvm_config kvm = {.fd = -1, .figures = &worker->shared->kvm};
	struct umbra_guest_config config = {
		.name = start->name,
		.engine = start->engine,
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
	int code;

	console_init(&worker->console, start->name);
	if (start->engine == UMBRA_ENGINE_KVM) {
		kvm.fd = open_kvm(start, ret_error);
		if (kvm.fd < 0)
			return kvm.fd;
		config.kvm = &kvm;
		config.processor = NULL;
		config.interval = kvm_interval_ns;
	}
	code = umbra_guest_create(&config, &worker->shared->counters, &worker->guest, ret_error);
	if (kvm.fd >= 0)
		close(kvm.fd);
	if (!code)
		shared_set_known(worker->shared, umbra_guest_counters_known(worker->guest));
	return code;
}

static int create_pilot(struct worker *worker, struct umbra_error *ret_error)
{
	const struct pilot_config config = {
		.kind = worker->start.policy,
		.kept = 4, /* umbrad's journal has them all */
		.cost = &worker->start.cost,
		.decision = on_decision,
		.switched = on_switch,
		.frozen = is_frozen,
		.context = worker,
	};

	return pilot_create(worker->guest, &config, &worker->pilot, ret_error);
}

/* From here on the worker opens nothing, starts nothing and talks to nobody but umbrad. */
static int close_door(struct worker *worker, struct umbra_error *ret_error)
{
	struct sandbox sandbox = {
		.socket = worker->fd,
		.growth = growth_base + worker->start.memory / GROWTH_MEMORY_SHARE,
	};
	struct umbra_kvm_call calls[UMBRA_KVM_CALLS_MAX];
	pthread_t commands;
	int code;

	sandbox.nr_calls = umbra_guest_kvm_calls(worker->guest, calls);
	sandbox.calls = calls;
	worker->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->event < 0)
		return umbra_error_set(ret_error, -errno, "eventfd", NULL, "%s", strerror(errno));
	sem_init(&worker->commands_run, 0, 0);
	code = -pthread_create(&commands, NULL, read_commands, worker);
	if (code)
		return umbra_error_set(ret_error, code, "thread", NULL, "%s", strerror(-code));
	while (sem_wait(&worker->commands_run))
		;
	sandbox.event = worker->event;
	return sandbox_enter(&sandbox, ret_error);
}

/* All that comes before the guest's first instruction. */
static int prepare(struct worker *worker, const int fds[MESSAGE_FDS_MAX],
		   struct umbra_error *ret_error)
{
	struct files files = {0};
	int code = map_file(fds[START_FD_IMAGE], worker->start.image, &files.image, ret_error);

	if (!code)
		code = map_file(fds[START_FD_INITRD], worker->start.initrd, &files.initrd,
				ret_error);
	if (!code)
		code = create_guest(worker, ret_error);
	if (!code)
		code = close_door(worker, ret_error);
	if (!code)
		code = load_image(worker, &files, ret_error);
	return code ? code : create_pilot(worker, ret_error);
}

/* The first message, and the memory that came with it. 0 or a negative errno. */
static int receive_start(struct worker *worker, int ret_fds[MESSAGE_FDS_MAX])
{
	static const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct message message;

	if (message_receive(worker->fd, &message, ret_fds) != 1 ||
	    message.header.type != MESSAGE_START || ret_fds[START_FD_COUNTERS] < 0 ||
	    ret_fds[START_FD_CONTROL] < 0 || ret_fds[START_FD_IMAGE] < 0)
		return -EBADMSG;
	worker->start = message.start;
	if ((fcntl(ret_fds[START_FD_COUNTERS], F_GET_SEALS) & seals) != seals)
		return -EBADMSG;
	worker->shared = shared_map(ret_fds[START_FD_COUNTERS], true);
	close(ret_fds[START_FD_COUNTERS]);
	if (!worker->shared)
		return -errno;
	worker->control = control_map(ret_fds[START_FD_CONTROL]);
	close(ret_fds[START_FD_CONTROL]);
	return worker->control ? 0 : -errno;
}

int worker_run(int fd)
{
	struct worker worker = {.fd = fd, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct umbra_error error = {0};
	struct message message = {0};
	int fds[MESSAGE_FDS_MAX];
	int code;

	/* A Ctrl-C goes to the whole group, but it is umbrad that stops workers. */
	signal(SIGINT, SIG_IGN);
	prctl(PR_SET_NAME, "umbra-guest");
	/* A thread's own heap would reserve address space, which is limited. */
	mallopt(M_ARENA_MAX, 1);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	code = receive_start(&worker, fds);
	if (code) {
		log_write(LOG_ERR, NULL, "worker: no start: %s", strerror(-code));
		return STATUS_FAULT;
	}
	shared_begin(worker.shared);
	crash_note_in(&worker.shared->state);
	enter_phase(&worker, WORKER_LOADING);
	if (prepare(&worker, fds, &error)) {
		send_failed(&worker, &error);
	} else {
		send_or_die(&worker, MESSAGE_RUNNING, &message);
		run_guest(&worker);
	}
	/* The other thread still holds the guest; the end of the process frees it. */
	_exit(0);
}
