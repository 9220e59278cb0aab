/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/changes.h"

enum { ANSWER_SECONDS = 5 };

struct guest_change {
	struct web_change *asked;
	struct guest_change *next;
	uint64_t request; /* 0: not sent to the worker yet */
	time_t deadline;  /* monotonic */
};

struct changes {
	pthread_mutex_t lock; /* of new and closed */
	struct guest_change *new;
	bool closed;
	int event;
	struct guest_change *done; /* answered by the worker, not yet to the operator */
};

static time_t monotonic_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void append(struct guest_change **list, struct guest_change *change)
{
	while (*list)
		list = &(*list)->next;
	change->next = NULL;
	*list = change;
}

static void answer(struct guest_change *change, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void answer(struct guest_change *change, int error, const char *format, ...)
{
	struct web_change *asked = change->asked;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(asked->detail, sizeof(asked->detail), format, arguments);
	va_end(arguments);
	asked->error = error;
	free(change);
	web_change_done(asked);
}

struct changes *changes_create(int *ret_fd)
{
	struct changes *changes = calloc(1, sizeof(*changes));

	if (!changes)
		return NULL;
	changes->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (changes->event < 0) {
		free(changes);
		return NULL;
	}
	pthread_mutex_init(&changes->lock, NULL);
	*ret_fd = changes->event;
	return changes;
}

void changes_destroy(struct changes *changes)
{
	if (!changes)
		return;
	close(changes->event);
	pthread_mutex_destroy(&changes->lock);
	free(changes);
}

void changes_ask(void *context, struct web_change *asked)
{
	struct guest_change *change = calloc(1, sizeof(*change));
	struct changes *changes = context;
	bool closed;

	if (!change) {
		asked->error = -ENOMEM;
		strcpy(asked->detail, "out of memory");
		web_change_done(asked);
		return;
	}
	change->asked = asked;
	pthread_mutex_lock(&changes->lock);
	closed = changes->closed;
	if (!closed)
		append(&changes->new, change);
	pthread_mutex_unlock(&changes->lock);
	if (closed)
		answer(change, -ESHUTDOWN, "umbrad is stopping");
	else
		eventfd_write(changes->event, 1);
}

/* Sends the guest's first change to its worker, unless it is there already. */
static void send_first(struct guest *guest)
{
	while (guest->changes && !guest->changes->request) {
		struct guest_change *change = guest->changes;
		struct message message = {0};
		int code;

		change->request = guest->next_request++;
		message.change = (struct message_change){
			.request = change->request,
			.has_mode = change->asked->has_mode,
			.mode = change->asked->mode,
			.policy = change->asked->policy,
		};
		code = message_send(guest->fd, MESSAGE_CHANGE, &message);
		if (!code)
			return;
		guest->changes = change->next;
		answer(change, -EIO, "the guest's worker cannot be told: %s", strerror(-code));
	}
}

static void begin(struct registry *registry, struct guest_change *change)
{
	struct guest *guest = registry_find(registry, change->asked->id);

	if (!guest) {
		answer(change, -ENOENT, "there is no guest with this id");
	} else if (guest->state != GUEST_RUNNING) {
		answer(change, -EPERM, "the guest is %s", guest_state_name(guest->state));
	} else {
		change->deadline = monotonic_seconds() + ANSWER_SECONDS;
		append(&guest->changes, change);
		send_first(guest);
	}
}

void changes_begin(struct changes *changes, struct registry *registry)
{
	struct guest_change *new;
	eventfd_t value;

	eventfd_read(changes->event, &value);
	pthread_mutex_lock(&changes->lock);
	new = changes->new;
	changes->new = NULL;
	pthread_mutex_unlock(&changes->lock);
	while (new) {
		struct guest_change *change = new;

		new = change->next;
		begin(registry, change);
	}
}

int changes_answered(struct changes *changes, struct guest *guest,
		     const struct message_changed *message)
{
	struct guest_change *change = guest->changes;
	struct web_change *asked;

	/* An answer whose time was over already is no fault of the worker's. */
	if (!message->request || message->request >= guest->next_request)
		return -EBADMSG;
	guest->policy = message->policy;
	if (message->switched)
		registry_take_switch(guest, &message->made);
	if (!change || change->request != message->request)
		return 0;
	asked = change->asked;
	asked->error = message->error;
	snprintf(asked->detail, sizeof(asked->detail), "%s", message->text);
	asked->switched = message->switched;
	asked->record.record = message->made.record;
	asked->record.reason = message_switch_reason(message->made.reason);
	guest->changes = change->next;
	append(&changes->done, change);
	send_first(guest);
	return 0;
}

void changes_check(struct changes *changes, struct registry *registry)
{
	time_t now = monotonic_seconds();

	for (size_t i = 0; i < registry->nr_guests; i++) {
		struct guest *guest = &registry->guests[i];
		bool gone = guest->state != GUEST_RUNNING;

		while (guest->changes && (gone || guest->changes->deadline <= now)) {
			struct guest_change *change = guest->changes;

			guest->changes = change->next;
			if (gone)
				answer(change, -EPERM, "the guest is %s",
				       guest_state_name(guest->state));
			else
				answer(change, -ETIMEDOUT, "the guest's worker did not answer");
		}
		if (guest->changes)
			send_first(guest);
	}
}

bool changes_finished(const struct changes *changes)
{
	return changes->done != NULL;
}

void changes_finish(struct changes *changes)
{
	while (changes->done) {
		struct guest_change *change = changes->done;
		struct web_change *asked = change->asked;

		changes->done = change->next;
		free(change);
		web_change_done(asked);
	}
}

static void refuse_all(struct guest_change *list)
{
	while (list) {
		struct guest_change *change = list;

		list = change->next;
		answer(change, -ESHUTDOWN, "umbrad is stopping");
	}
}

void changes_close(struct changes *changes, struct registry *registry)
{
	struct guest_change *new;

	pthread_mutex_lock(&changes->lock);
	changes->closed = true;
	new = changes->new;
	changes->new = NULL;
	pthread_mutex_unlock(&changes->lock);
	changes_finish(changes);
	refuse_all(new);
	for (size_t i = 0; i < registry->nr_guests; i++) {
		refuse_all(registry->guests[i].changes);
		registry->guests[i].changes = NULL;
	}
}
