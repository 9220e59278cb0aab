/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "collectors/clock.h"
#include "collectors/discovery_private.h"

/* In the data of epoll, beside the numbers of VMs. */
enum { SOURCE_UEVENTS = 0, EVENTS_AT_ONCE = 64 };
#define SOURCE_TIMER UINT64_MAX

enum {
	/* While a VM is young its vCPUs and threads come; an event's descriptor takes a moment. */
	YOUNG_MS = 2000,
	TICK_MS = 50,
	TRIES = 20,
	/* A thread that is known is looked at again in one of so many rounds. */
	ROUNDS_OF_THREADS = 8,
	/* Where there is nothing but /proc, it is walked in one of so many rounds. */
	ROUNDS_OF_WALKS = 2,
	/* Then samples have their turn, however fast somebody makes VMs. */
	UEVENTS_A_TURN = 64,
};

static const uint64_t ns_per_ms = 1000000;

/* --- the list --------------------------------------------------------------------------------- */

struct watched *discovery_find(struct discovery *discovery, pid_t pid, int fd)
{
	for (size_t i = 0; i < discovery->nr; i++) {
		if (discovery->list[i]->vm.pid == pid && discovery->list[i]->vm.fd == fd)
			return discovery->list[i];
	}
	return NULL;
}

struct watched *discovery_find_folder(struct discovery *discovery, const char *folder)
{
	for (size_t i = 0; i < discovery->nr; i++) {
		if (!strcmp(discovery->list[i]->folder, folder))
			return discovery->list[i];
	}
	return NULL;
}

size_t discovery_count(const struct discovery *discovery, pid_t pid)
{
	size_t nr = 0;

	for (size_t i = 0; i < discovery->nr; i++)
		nr += discovery->list[i]->vm.pid == pid;
	return nr;
}

/* The timer runs as long as something needs it. */
static void set_timer(struct discovery *discovery, bool on)
{
	const struct itimerspec tick = {
		.it_value.tv_nsec = on ? (long)(TICK_MS * ns_per_ms) : 0,
		.it_interval.tv_nsec = on ? (long)(TICK_MS * ns_per_ms) : 0,
	};

	if (on == discovery->ticking)
		return;
	discovery->ticking = on;
	timerfd_settime(discovery->timer, 0, &tick, NULL);
}

static bool look(struct discovery *discovery, struct watched *watched, bool threads)
{
	const struct look look = {
		.roots = &discovery->config.roots,
		.descriptors = &discovery->descriptors,
		.threads = threads,
		.alone = watched->vm.folder < 0 && discovery_count(discovery, watched->vm.pid) == 1,
	};

	return watched_look(watched, &look);
}

static bool is_taken(const struct discovery *discovery, const char *id)
{
	for (size_t i = 0; i < discovery->nr; i++) {
		if (!strcmp(discovery->list[i]->vm.id, id))
			return true;
	}
	return false;
}

static void left_out(struct discovery *discovery, int error)
{
	if (error == ENOENT || error == ESRCH)
		return; /* it is gone already */
	discovery->left_out++;
	discovery->why_left_out = error;
}

/* False with errno. */
static bool make_room(struct discovery *discovery)
{
	size_t room = discovery->room ? 2 * discovery->room : 16;
	struct watched **list;

	if (discovery->nr == VM_MAX) {
		errno = E2BIG;
		return false;
	}
	if (discovery->nr < discovery->room)
		return true;
	list = realloc(discovery->list, room * sizeof(struct watched *));
	if (!list)
		return false;
	discovery->list = list;
	discovery->room = room;
	return true;
}

static bool is_known(struct discovery *discovery, pid_t pid, int fd, const char *folder)
{
	struct watched *known = folder[0] ? discovery_find_folder(discovery, folder) : NULL;

	if (known)
		return true;
	known = fd < 0 ? NULL : discovery_find(discovery, pid, fd);
	/* What was found in /proc gets its folder as soon as debugfs can be read. */
	if (known && folder[0] && !known->folder[0]) {
		watched_open_folder(known, &discovery->config.roots, folder);
		look(discovery, known, true);
		discovery->config.updated(discovery->config.context, &known->vm);
	}
	return known != NULL;
}

void discovery_appear(struct discovery *discovery, pid_t pid, int fd, const char *folder,
		      pid_t creator)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct watched *watched;

	if (is_known(discovery, pid, fd, folder))
		return;
	watched = make_room(discovery) ? watched_create(&discovery->config.roots, pid, fd, folder)
				       : NULL;
	if (!watched) {
		left_out(discovery, errno);
		return;
	}
	/* A folder that is not there any more: the VM has ended since. */
	if (folder[0] && watched->vm.folder < 0 && !discovery->no_folders) {
		watched_destroy(watched);
		return;
	}
	watched->creator = creator;
	watched->young_until = clock_ns() + YOUNG_MS * ns_per_ms;
	watched->vm.number = ++discovery->last_number;
	watched_name(watched, false);
	if (is_taken(discovery, watched->vm.id))
		watched_name(watched, true);
	discovery->list[discovery->nr++] = watched;
	event.data.u64 = watched->vm.number;
	if (watched->vm.pidfd >= 0)
		epoll_ctl(discovery->epoll, EPOLL_CTL_ADD, watched->vm.pidfd, &event);
	set_timer(discovery, true);
	look(discovery, watched, true);
	discovery->config.updated(discovery->config.context, &watched->vm);
	/* Without debugfs the vCPUs of an owner were those of its only VM. */
	for (size_t i = 0; i + 1 < discovery->nr; i++) {
		const struct vm *other = &discovery->list[i]->vm;

		if (other->pid == pid && other->folder < 0 &&
		    look(discovery, discovery->list[i], true))
			discovery->config.updated(discovery->config.context, other);
	}
}

void discovery_vanish(struct discovery *discovery, size_t index)
{
	struct watched *watched = discovery->list[index];

	memmove(&discovery->list[index], &discovery->list[index + 1],
		(discovery->nr - index - 1) * sizeof(struct watched *));
	discovery->nr--;
	if (watched->vm.folder >= 0)
		discovery->ended[discovery->nr_ended++ % DISCOVERY_ENDED_MAX] =
			watched->seen.st_ino;
	if (watched->vm.pidfd >= 0)
		epoll_ctl(discovery->epoll, EPOLL_CTL_DEL, watched->vm.pidfd, NULL);
	discovery->config.vanished(discovery->config.context, &watched->vm);
	watched_destroy(watched);
}

/* All VMs of which @is_gone says so. */
static void sweep(struct discovery *discovery,
		  bool (*is_gone)(const struct discovery *discovery, const struct watched *watched,
				  pid_t pid),
		  pid_t pid)
{
	for (size_t i = discovery->nr; i-- > 0;) {
		if (is_gone(discovery, discovery->list[i], pid))
			discovery_vanish(discovery, i);
	}
}

static bool is_owned_by(const struct discovery *discovery, const struct watched *watched, pid_t pid)
{
	return watched->vm.pid == pid;
}

static bool is_gone(const struct discovery *discovery, const struct watched *watched, pid_t pid)
{
	return watched_is_gone(watched, &discovery->config.roots);
}

/* --- events ----------------------------------------------------------------------------------- */

/* The descriptor is not there yet, and which one it will be is not told. */
static void wait_for(struct discovery *discovery, pid_t pid)
{
	if (discovery->nr_pending == DISCOVERY_PENDING_MAX)
		return; /* a scan finds it */
	discovery->pending[discovery->nr_pending].pid = pid;
	discovery->pending[discovery->nr_pending++].tries = TRIES;
	set_timer(discovery, true);
}

static void on_created(struct discovery *discovery, const struct uevent *event)
{
	pid_t pid = proc_of_thread(discovery->config.roots.proc, event->tid);
	struct stat status;
	char path[PATH_MAX];

	/* The thread that made it has ended; those of its vCPUs will tell whose it is. */
	if (pid <= 0) {
		discovery_list_folders(discovery, true);
		return;
	}
	if (!event->folder[0]) {
		wait_for(discovery, pid); /* not the thread, which may end before */
		return;
	}
	/* The same name as before, but another VM: the end of the old one was not told. */
	snprintf(path, sizeof(path), "%s/kernel/debug/kvm/%s", discovery->config.roots.sys,
		 event->folder);
	for (size_t i = 0; i < discovery->nr; i++) {
		if (strcmp(discovery->list[i]->folder, event->folder) != 0)
			continue;
		if (!stat(path, &status) && status.st_ino != discovery->list[i]->seen.st_ino)
			discovery_vanish(discovery, i);
		break;
	}
	discovery_appear(discovery, pid, event->fd, event->folder, event->tid);
}

/*
 * A VM made while another one's folder of the same name was still there has none, and its events
 * name none.
 */
static bool is_told_by(const struct watched *watched, const struct uevent *event)
{
	if (watched->folder[0])
		return !strcmp(event->folder, watched->folder);
	return (watched->creator == event->tid || watched->vm.pid == event->tid) &&
	       (event->fd < 0 || event->fd == watched->vm.fd);
}

static void on_destroyed(struct discovery *discovery, const struct uevent *event)
{
	size_t nr = 0, last = 0;

	for (size_t i = 0; i < discovery->nr; i++) {
		if (is_told_by(discovery->list[i], event)) {
			last = i;
			nr++;
		}
	}
	/* Of several it may be any one; their descriptors tell. */
	if (nr == 1)
		discovery_vanish(discovery, last);
	else
		sweep(discovery, is_gone, 0);
}

/* True: some were lost. */
static bool read_uevents(struct discovery *discovery)
{
	struct uevent event;
	bool lost = false;
	int result = 1;

	for (int i = 0; i < UEVENTS_A_TURN && (result == 1 || result == -ENOBUFS); i++) {
		result = uevent_read(discovery->uevents, &event);
		if (result == -ENOBUFS || (result == 1 && discovery->own_namespace))
			lost = true; /* their numbers say nothing here: only /proc does */
		else if (result == 1 && event.created)
			on_created(discovery, &event);
		else if (result == 1)
			on_destroyed(discovery, &event);
	}
	if (result < 0 && result != -ENOBUFS) {
		epoll_ctl(discovery->epoll, EPOLL_CTL_DEL, discovery->uevents, NULL);
		if (!discovery->given)
			close(discovery->uevents);
		discovery->uevents = -1;
		discovery->no_uevents = -result;
	}
	return lost;
}

static void try_pending(struct discovery *discovery)
{
	for (size_t i = discovery->nr_pending; i-- > 0;) {
		size_t before = discovery->nr;
		int nr = discovery_look_at(discovery, discovery->pending[i].pid);

		if (nr < 0 || discovery->nr > before || !--discovery->pending[i].tries)
			discovery->pending[i] = discovery->pending[--discovery->nr_pending];
	}
}

static void on_timer(struct discovery *discovery)
{
	uint64_t now = clock_ns(), expirations;
	bool young = false;

	if (read(discovery->timer, &expirations, sizeof(expirations)) < 0)
		return;
	try_pending(discovery);
	for (size_t i = 0; i < discovery->nr; i++) {
		struct watched *watched = discovery->list[i];

		if (watched->young_until <= now)
			continue;
		young = true;
		if (look(discovery, watched, false))
			discovery->config.updated(discovery->config.context, &watched->vm);
	}
	if (!young && !discovery->nr_pending)
		set_timer(discovery, false);
}

static void on_owner_ended(struct discovery *discovery, uint64_t number)
{
	for (size_t i = 0; i < discovery->nr; i++) {
		if (discovery->list[i]->vm.number == number) {
			sweep(discovery, is_owned_by, discovery->list[i]->vm.pid);
			return;
		}
	}
}

void discovery_read(struct discovery *discovery)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int nr = epoll_wait(discovery->epoll, events, EVENTS_AT_ONCE, 0);
	bool lost = false;

	for (int i = 0; i < nr; i++) {
		if (events[i].data.u64 == SOURCE_UEVENTS)
			lost = read_uevents(discovery);
		else if (events[i].data.u64 == SOURCE_TIMER)
			on_timer(discovery);
		else
			on_owner_ended(discovery, events[i].data.u64);
	}
	if (lost) {
		discovery->scanned = false;
		discovery_scan(discovery);
	}
}

/* --- rounds ----------------------------------------------------------------------------------- */

void discovery_refresh(struct discovery *discovery)
{
	unsigned int round = discovery->rounds++;

	sweep(discovery, is_gone, 0);
	discovery_list_folders(discovery, false);
	for (size_t i = 0; i < discovery->nr; i++) {
		struct watched *watched = discovery->list[i];
		bool turn = (watched->vm.number + round) % ROUNDS_OF_THREADS == 0;

		if (look(discovery, watched, turn))
			discovery->config.updated(discovery->config.context, &watched->vm);
	}
	if (discovery->uevents < 0 && (discovery->no_folders || discovery->own_namespace) &&
	    discovery->rounds % ROUNDS_OF_WALKS == 0)
		discovery_scan(discovery);
}

void discovery_thread(struct discovery *discovery, const struct vcpu_thread *thread)
{
	struct watched *found = NULL;

	for (size_t i = 0; i < discovery->nr; i++) {
		struct watched *watched = discovery->list[i];

		if (watched->vm.pid != thread->pid || discovery->own_namespace)
			continue;
		for (size_t j = 0; j < watched->vm.nr_vcpus; j++) {
			if (watched->vm.vcpus[j].id != thread->vcpu_id)
				continue;
			/* A process's VMs have vCPUs of the same numbers: debugfs must tell. */
			if (found && found != watched)
				return;
			found = watched;
		}
	}
	if (found && watched_thread(found, thread->vcpu_id, thread->tid))
		discovery->config.updated(discovery->config.context, &found->vm);
}

/* --- begin, end, state ------------------------------------------------------------------------ */

static void watch_uevents(struct discovery *discovery)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = SOURCE_UEVENTS};

	discovery->given = discovery->config.uevents >= 0;
	discovery->uevents = discovery->given ? discovery->config.uevents : uevent_open();
	if (discovery->uevents < 0) {
		discovery->no_uevents = -discovery->uevents;
		discovery->uevents = -1;
		return;
	}
	if (epoll_ctl(discovery->epoll, EPOLL_CTL_ADD, discovery->uevents, &event))
		discovery->no_uevents = errno;
}

struct discovery *discovery_create(const struct discovery_config *config)
{
	struct discovery *discovery = calloc(1, sizeof(*discovery));
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = SOURCE_TIMER};
	char path[PATH_MAX];

	if (!discovery)
		return NULL;
	discovery->config = *config;
	discovery->real = proc_is_real(config->roots.proc);
	discovery->own_namespace = proc_has_own_namespace(config->roots.proc);
	snprintf(path, sizeof(path), "%s/kernel/debug/kvm", config->roots.sys);
	discovery->no_folders = access(path, R_OK | X_OK) ? errno : 0;
	discovery->epoll = epoll_create1(EPOLL_CLOEXEC);
	discovery->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	discovery->uevents = -1;
	if (discovery->epoll < 0 || discovery->timer < 0) {
		discovery->no_uevents = errno;
		return discovery;
	}
	epoll_ctl(discovery->epoll, EPOLL_CTL_ADD, discovery->timer, &event);
	watch_uevents(discovery);
	return discovery;
}

void discovery_destroy(struct discovery *discovery)
{
	if (!discovery)
		return;
	for (size_t i = 0; i < discovery->nr; i++)
		watched_destroy(discovery->list[i]);
	free(discovery->list);
	kvm_descriptors_free(&discovery->descriptors);
	if (discovery->uevents >= 0 && !discovery->given)
		close(discovery->uevents);
	if (discovery->timer >= 0)
		close(discovery->timer);
	if (discovery->epoll >= 0)
		close(discovery->epoll);
	free(discovery);
}

int discovery_fd(const struct discovery *discovery)
{
	return discovery->epoll;
}

static bool lacks_threads(const struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->nr; i++) {
		if (watched_lacks_threads(discovery->list[i]))
			return true;
	}
	return false;
}

void discovery_state(const struct discovery *discovery, char ret_state[COLLECTOR_STATE_MAX])
{
	const char *sys = discovery->config.roots.sys;
	char path[PATH_MAX];

	ret_state[0] = '\0';
	snprintf(path, sizeof(path), "%s/devices/virtual/misc/kvm", sys);
	if (!discovery->nr && access(path, F_OK) && errno == ENOENT) {
		snprintf(ret_state, COLLECTOR_STATE_MAX,
			 "unsupported: %s/devices/virtual/misc/kvm: KVM is not loaded", sys);
		return;
	}
	if (discovery->uevents < 0)
		collector_degrade(ret_state, "no uevents (%s)", strerror(discovery->no_uevents));
	if (discovery->own_namespace)
		collector_degrade(ret_state,
				  "not the host's PID namespace: only VMs in it are found, and no "
				  "threads of vCPUs");
	else if (discovery->no_folders)
		collector_degrade(ret_state, "no threads of vCPUs, %s/kernel/debug/kvm: %s", sys,
				  discovery->no_folders == ENOENT
					  ? "missing, is debugfs mounted?"
					  : strerror(discovery->no_folders));
	else if (lacks_threads(discovery))
		collector_degrade(ret_state,
				  "threads of vCPUs are not known: only Linux 6.0 and later have "
				  "them in debugfs, and kvm_exits has not seen them");
	if (discovery->unreadable && (discovery->no_folders || discovery->own_namespace))
		collector_degrade(
			ret_state,
			"%zu processes may not be looked into (CAP_SYS_PTRACE): VMs that they had "
			"before are not found",
			discovery->unreadable);
	if (discovery->left_out && discovery->why_left_out == E2BIG)
		collector_degrade(ret_state, "VMs left out: there are more than %d", VM_MAX);
	else if (discovery->left_out)
		collector_degrade(ret_state, "VMs left out: %s", strerror(discovery->why_left_out));
	if (!ret_state[0])
		snprintf(ret_state, COLLECTOR_STATE_MAX, "ok");
}
