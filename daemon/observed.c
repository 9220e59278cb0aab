/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collectors/clock.h"
#include "daemon/log.h"
#include "daemon/observed.h"
#include "daemon/observed_advice.h"
#include "daemon/sockets.h"

/* Reports taken in one turn of the loop, so that others have theirs too. */
enum { REPORTS_AT_ONCE = 256 };

static const char collect_user[] = "umbra-collect";

/* Who connects again and again cannot fill the log: more than a few lines a second are counted. */
static bool may_tell(struct observed *observed)
{
	if (!observed->lines) {
		observed->untold++;
		return false;
	}
	observed->lines--;
	return true;
}

/* It tries again each second: that is told once. */
static bool may_tell_refused(struct observed *observed, pid_t pid)
{
	bool again = observed->refused == pid;

	observed->refused = pid;
	return !again && may_tell(observed);
}

static void set_states(struct observed *observed, const char *state)
{
	for (int i = 0; i < CONFIG_COLLECTOR_COUNT; i++) {
		struct observed_collector *collector = &observed->collectors[i];

		*collector = (struct observed_collector){0};
		snprintf(collector->state, sizeof(collector->state), "%s", state);
	}
}

static void free_vm(struct observed_vm *vm)
{
	free(vm->vm.vcpus);
	free(vm->advice);
	free(vm);
}

static void forget_all(struct observed *observed)
{
	for (size_t i = 0; i < observed->nr_vms; i++)
		free_vm(observed->vms[i]);
	observed->changed |= observed->nr_vms != 0;
	observed->nr_vms = 0;
	observed->host = (struct report_host){0};
	observed->rounds = (struct sampling){0};
}

static void disconnect(struct observed *observed, const char *why)
{
	loop_remove(observed->loop, &observed->connection_source);
	close(observed->connection);
	observed->connection = -1;
	forget_all(observed);
	set_states(observed, "unsupported: umbra-collect is not connected");
	if (may_tell(observed))
		log_write(LOG_WARNING, NULL, "umbra-collect: %s", why);
}

static size_t find(const struct observed *observed, uint32_t number)
{
	size_t i = 0;

	while (i < observed->nr_vms && observed->vms[i]->vm.number != number)
		i++;
	return i;
}

/* False: out of memory, or too many. */
static bool add(struct observed *observed, uint32_t number)
{
	struct observed_vm **vms;

	if (observed->nr_vms == VM_MAX)
		return false;
	vms = realloc(observed->vms, (observed->nr_vms + 1) * sizeof(struct observed_vm *));
	if (!vms)
		return false;
	observed->vms = vms;
	vms[observed->nr_vms] = calloc(1, sizeof(**vms));
	if (!vms[observed->nr_vms])
		return false;
	vms[observed->nr_vms++]->vm.number = number;
	return true;
}

/* Wall time at @ticks after the boot, to the nearest second. */
static time_t wall_time(uint64_t ticks)
{
	struct timespec boot, now;
	long hertz = sysconf(_SC_CLK_TCK);
	double seconds;

	if (!ticks || hertz <= 0 || clock_gettime(CLOCK_BOOTTIME, &boot))
		return 0;
	/* Nobody has started in the future; and a time has so many digits, no more. */
	seconds = (double)ticks / (double)hertz;
	if (seconds > (double)boot.tv_sec + 1)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	return lround((double)(now.tv_sec - boot.tv_sec) +
		      (double)(now.tv_nsec - boot.tv_nsec) / 1e9 + seconds);
}

static const char *take_vm(struct observed *observed, const struct report_vm *report)
{
	size_t place = find(observed, report->vm.number);
	size_t nr = report->vm.nr_vcpus < REPORT_VCPUS_MAX ? report->vm.nr_vcpus : REPORT_VCPUS_MAX;
	struct vm_vcpu *vcpus;
	struct observed_vm *vm;

	if (place == observed->nr_vms && !add(observed, report->vm.number))
		return "there is no room for more VMs";
	vcpus = malloc((nr + 1) * sizeof(*vcpus));
	if (!vcpus)
		return "out of memory";
	memcpy(vcpus, report->vcpus, nr * sizeof(*vcpus));
	vm = observed->vms[place];
	free(vm->vm.vcpus);
	vm->vm = report->vm;
	vm->vm.vcpus = vcpus;
	vm->started = wall_time(vm->vm.start_time);
	observed->changed = true;
	return NULL;
}

static const char *take_gone(struct observed *observed, const struct report_gone *report)
{
	size_t place = find(observed, report->number);

	if (place == observed->nr_vms)
		return "it told the end of a VM that it never told of";
	free_vm(observed->vms[place]);
	/* The others stay in their order. */
	memmove(&observed->vms[place], &observed->vms[place + 1],
		(--observed->nr_vms - place) * sizeof(struct observed_vm *));
	observed->changed = true;
	return NULL;
}

static const char *take_sample(struct observed *observed, const struct report_sample *report)
{
	size_t place = find(observed, report->number);
	struct observed_vm *vm;

	if (place == observed->nr_vms)
		return "it told a sample of a VM that it never told of";
	vm = observed->vms[place];
	vm->sample = report->sample;
	if (!vm->sampled)
		vm->before = vm->sample;
	vm->sampled = true;
	return NULL;
}

static const char *take_collector(struct observed *observed, const struct report_collector *report)
{
	for (int i = CONFIG_COLLECTOR_DISCOVERY; i < CONFIG_COLLECTOR_COUNT; i++) {
		struct observed_collector *collector = &observed->collectors[i];

		if (strcmp(config_collector_name(i), report->name))
			continue;
		snprintf(collector->state, sizeof(collector->state), "%s", report->state);
		collector->own = report->own;
		return NULL;
	}
	return "it told of a collector that umbrad does not know";
}

static void take_round(struct observed *observed, const struct report_round *report)
{
	observed->heard = clock_seconds();
	observed->rounds.count++;
	observed->rounds.seconds += (double)report->duration_ns / 1e9;
}

/* NULL, or why the connection is of no use. */
static const char *take(struct observed *observed, const struct report *report)
{
	switch (report->type) {
	case REPORT_HOST: observed->host = report->host; return NULL;
	case REPORT_COLLECTOR: return take_collector(observed, &report->collector);
	case REPORT_VM: return take_vm(observed, &report->vm);
	case REPORT_GONE: return take_gone(observed, &report->gone);
	case REPORT_SAMPLE: return take_sample(observed, &report->sample);
	case REPORT_ROUND: take_round(observed, &report->round); return NULL;
	default: return "it told what umbrad does not know";
	}
}

static void on_report(void *context)
{
	struct observed *observed = context;
	const char *why = NULL;

	for (int i = 0; i < REPORTS_AT_ONCE && !why; i++) {
		int code = report_receive(observed->connection, observed->report);

		if (code == -EAGAIN)
			return;
		if (code == 1)
			why = take(observed, observed->report);
		else if (code == -EBADMSG)
			why = "it sent no report of this version";
		else
			why = code ? strerror(-code) : "it has closed the connection";
	}
	if (why)
		disconnect(observed, why);
}

/* Who may say what runs on this host. */
static bool may_report(int fd, struct ucred *ret_peer)
{
	socklen_t size = sizeof(*ret_peer);
	const struct passwd *user;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret_peer, &size))
		return false;
	if (!ret_peer->uid || ret_peer->uid == geteuid())
		return true;
	user = getpwnam(collect_user);
	return user && ret_peer->uid == user->pw_uid;
}

static void on_connection(void *context)
{
	struct observed *observed = context;
	struct ucred peer = {0};
	int fd = accept4(observed->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (!may_report(fd, &peer)) {
		if (may_tell_refused(observed, peer.pid))
			log_write(LOG_WARNING, NULL,
				  "user %ld may not report VMs: root, %s or umbrad's own user was "
				  "expected",
				  (long)peer.uid, collect_user);
		close(fd);
		return;
	}
	if (observed->connection >= 0) {
		if (may_tell_refused(observed, peer.pid))
			log_write(LOG_WARNING, NULL,
				  "process %ld: another umbra-collect is connected",
				  (long)peer.pid);
		close(fd);
		return;
	}
	if (loop_add(observed->loop, &observed->connection_source, fd, on_report, observed)) {
		close(fd);
		return;
	}
	observed->connection = fd;
	observed->refused = 0;
	observed->heard = clock_seconds();
	set_states(observed, "degraded: umbra-collect has not measured yet");
	if (may_tell(observed))
		log_write(LOG_NOTICE, NULL, "umbra-collect: connected, process %ld",
			  (long)peer.pid);
}

void observed_tick(struct observed *observed, uint64_t now)
{
	char why[64];

	if (observed->untold)
		log_write(LOG_WARNING, NULL,
			  "umbra-collect: %u lines more within a second, who connects and leaves",
			  observed->untold);
	observed->untold = 0;
	observed->lines = OBSERVED_LINES_A_SECOND;
	if (observed->connection < 0 || now < observed->heard + OBSERVED_SILENT_SECONDS)
		return;
	snprintf(why, sizeof(why), "it has told nothing for %d s", OBSERVED_SILENT_SECONDS);
	disconnect(observed, why);
}

static int listen_at(struct observed *observed, const char *path)
{
	struct umbra_error error = {.text = "out of memory"};
	char why[COLLECTOR_STATE_MAX];

	if (!*path) {
		set_states(observed, "denied: [umbrad] collect_socket is empty");
		return -1;
	}
	observed->listener = sockets_listen_unix(path, SOCK_SEQPACKET, &error);
	if (observed->listener >= 0 && !loop_add(observed->loop, &observed->listener_source,
						 observed->listener, on_connection, observed))
		return 0;
	snprintf(why, sizeof(why), "denied: umbrad cannot listen at %.100s: %.100s", path,
		 error.text);
	set_states(observed, why);
	log_write(LOG_WARNING, NULL, "%s: %s: VMs of other programs are not shown", path,
		  error.text);
	return -1;
}

int observed_open(struct observed *observed, int loop, const char *path)
{
	*observed = (struct observed){
		.loop = loop, .listener = -1, .connection = -1, .lines = OBSERVED_LINES_A_SECOND};
	observed->report = malloc(sizeof(*observed->report));
	if (!observed->report)
		return -ENOMEM;
	if (!listen_at(observed, path))
		set_states(observed, "unsupported: umbra-collect is not connected");
	return 0;
}

void observed_close(struct observed *observed, const char *path)
{
	if (observed->connection >= 0) {
		loop_remove(observed->loop, &observed->connection_source);
		close(observed->connection);
	}
	if (observed->listener >= 0) {
		loop_remove(observed->loop, &observed->listener_source);
		close(observed->listener);
		unlink(path);
	}
	forget_all(observed);
	observed_forget_costs(observed);
	free(observed->vms);
	free(observed->report);
	*observed = (struct observed){.listener = -1, .connection = -1};
}

const struct observed_vm *observed_find_pid(const struct observed *observed, pid_t pid)
{
	for (size_t i = 0; i < observed->nr_vms; i++) {
		if (observed->vms[i]->vm.pid == pid)
			return observed->vms[i];
	}
	return NULL;
}
