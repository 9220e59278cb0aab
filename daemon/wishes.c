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

#include "collectors/clock.h"
#include "daemon/wishes.h"

enum {
	ANSWER_SECONDS = 5, /* that a worker has */
	SETTLE_SECONDS = 5, /* that the journal has then */
};

struct guest_wish {
	struct web_wish *asked;
	struct guest_wish *next;
	uint64_t request;  /* 0: not sent to the worker yet */
	uint64_t deadline; /* monotonic */
	uint64_t ticket;   /* of the journal: not answered before; 0: none */
};

struct wishes {
	pthread_mutex_t lock; /* of new and closed */
	struct guest_wish *new;
	bool closed;
	int event;
	struct guest_wish *done; /* answered by the worker, not yet to the operator */
	uint64_t settled;        /* the journal's latest ticket */
};

static void append(struct guest_wish **list, struct guest_wish *wish)
{
	while (*list)
		list = &(*list)->next;
	wish->next = NULL;
	*list = wish;
}

static void answer(struct guest_wish *wish, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void answer(struct guest_wish *wish, int error, const char *format, ...)
{
	struct web_wish *asked = wish->asked;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(asked->detail, sizeof(asked->detail), format, arguments);
	va_end(arguments);
	asked->error = error;
	free(wish);
	asked->done(asked);
}

struct wishes *wishes_create(int *ret_fd)
{
	struct wishes *wishes = calloc(1, sizeof(*wishes));

	if (!wishes)
		return NULL;
	wishes->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wishes->event < 0) {
		free(wishes);
		return NULL;
	}
	pthread_mutex_init(&wishes->lock, NULL);
	*ret_fd = wishes->event;
	return wishes;
}

void wishes_destroy(struct wishes *wishes)
{
	if (!wishes)
		return;
	close(wishes->event);
	pthread_mutex_destroy(&wishes->lock);
	free(wishes);
}

void wishes_ask(void *context, struct web_wish *asked)
{
	struct guest_wish *wish = calloc(1, sizeof(*wish));
	struct wishes *wishes = context;
	bool closed;

	if (!wish) {
		asked->error = -ENOMEM;
		strcpy(asked->detail, "out of memory");
		asked->done(asked);
		return;
	}
	wish->asked = asked;
	pthread_mutex_lock(&wishes->lock);
	closed = wishes->closed;
	if (!closed)
		append(&wishes->new, wish);
	pthread_mutex_unlock(&wishes->lock);
	if (closed)
		answer(wish, -ESHUTDOWN, "umbrad is stopping");
	else
		eventfd_write(wishes->event, 1);
}

static void ask_mode(const struct web_wish *asked, struct message *message)
{
	message->change.has_mode = asked->has_mode;
	message->change.mode = asked->mode;
	message->change.policy = asked->policy;
	message->change.configured = asked->configured;
}

/* Whether or not anybody still waits for it: it has happened. */
static int take_mode(struct guest *guest, const struct message *message, uint64_t *ret_ticket)
{
	const struct message_changed *changed = &message->changed;

	guest->policy = changed->policy;
	if (changed->switched && registry_take_switch(guest, &changed->made))
		return -EBADMSG;
	if (!changed->error)
		*ret_ticket = changed->configured ? registry_forget(guest) : registry_keep(guest);
	return 0;
}

static void answer_mode(struct web_wish *asked, const struct message *message)
{
	const struct message_changed *changed = &message->changed;

	asked->error = changed->error;
	snprintf(asked->detail, sizeof(asked->detail), "%s", changed->text);
	asked->switched = changed->switched;
	asked->record.record = changed->made.record;
	asked->record.reason = message_switch_reason(changed->made.reason);
}

static void ask_translate(const struct web_wish *asked, struct message *message)
{
	message->translate = (struct message_translate){
		.gva = asked->gva, .cpu = asked->cpu, .access = asked->access};
}

static void answer_translate(struct web_wish *asked, const struct message *message)
{
	const struct message_translated *translated = &message->translated;

	asked->error = translated->error;
	snprintf(asked->detail, sizeof(asked->detail), "%s", translated->text);
	if (asked->error)
		return;
	asked->translation = malloc(sizeof(*asked->translation));
	if (asked->translation) {
		*asked->translation = translated->translation;
	} else {
		asked->error = -ENOMEM;
		strcpy(asked->detail, "out of memory");
	}
}

/* What a worker is asked for and how it answers. */
static const struct {
	enum message_type ask, answer;
	unsigned int per_second; /* that a guest lets itself be interrupted for; 0: all */
	void (*fill)(const struct web_wish *asked, struct message *message);
	/* Takes what has changed, which a snapshot is to show first; NULL: nothing. */
	int (*take)(struct guest *guest, const struct message *message, uint64_t *ret_ticket);
	void (*reply)(struct web_wish *asked, const struct message *message);
} kinds[WISH_KIND_COUNT] = {
	[WISH_MODE] = {MESSAGE_CHANGE, MESSAGE_CHANGED, 0, ask_mode, take_mode, answer_mode},
	[WISH_TRANSLATE] = {MESSAGE_TRANSLATE, MESSAGE_TRANSLATED, WISHES_TRANSLATE_PER_SECOND,
			    ask_translate, NULL, answer_translate},
};

/* Whoever reads must not slow a guest down: false, it has been asked that often this second. */
static bool is_allowed(struct guest *guest, enum web_wish_kind kind)
{
	uint64_t now = clock_seconds();

	if (!kinds[kind].per_second)
		return true;
	if (guest->asked_second != now) {
		guest->asked_second = now;
		guest->asked_often = 0;
	}
	return guest->asked_often++ < kinds[kind].per_second;
}

/* Sends the guest's first wish to its worker, unless it is there already. */
static void send_first(struct guest *guest)
{
	while (guest->wishes && !guest->wishes->request) {
		struct guest_wish *wish = guest->wishes;
		struct message message = {0};
		int code;

		wish->request = guest->next_request++;
		message.request = wish->request;
		kinds[wish->asked->kind].fill(wish->asked, &message);
		code = message_send(guest->fd, kinds[wish->asked->kind].ask, &message);
		if (!code)
			return;
		guest->wishes = wish->next;
		/* It has gone, which its death will tell in a moment. */
		if (code == -EPIPE || code == -ECONNRESET || code == -EBADF)
			answer(wish, -EPERM, "the guest's worker has just ended");
		else
			answer(wish, -EIO, "the guest's worker cannot be told: %s",
			       strerror(-code));
	}
}

/* It has happened; who asked is told when the journal knows. */
static void settle(struct wishes *wishes, struct guest_wish *wish, uint64_t ticket)
{
	wish->ticket = ticket;
	wish->deadline = clock_seconds() + SETTLE_SECONDS;
	append(&wishes->done, wish);
}

static void begin(struct wishes *wishes, struct registry *registry, struct guest_wish *wish)
{
	const struct web_wish *asked = wish->asked;
	struct guest *guest;

	if (asked->kind == WISH_FREEZE) {
		settle(wishes, wish, registry_freeze(registry, asked->frozen));
		return;
	}
	guest = registry_find(registry, asked->id);
	if (guest && asked->kind == WISH_MODE && asked->has_mode &&
	    journal_frozen(registry->journal)) {
		answer(wish, -EPERM, "all switching is frozen; umbra thaw lets it go on");
	} else if (!guest) {
		answer(wish, -ENOENT, "there is no guest with this id");
	} else if (guest->state != GUEST_RUNNING) {
		answer(wish, -EPERM, "the guest is %s", guest_state_name(guest->state));
	} else if (!is_allowed(guest, wish->asked->kind)) {
		answer(wish, -EBUSY, "a guest is asked for this at most %u times a second",
		       kinds[wish->asked->kind].per_second);
	} else {
		wish->deadline = clock_seconds() + ANSWER_SECONDS;
		append(&guest->wishes, wish);
		send_first(guest);
	}
}

void wishes_begin(struct wishes *wishes, struct registry *registry)
{
	struct guest_wish *new;
	eventfd_t value;

	eventfd_read(wishes->event, &value);
	pthread_mutex_lock(&wishes->lock);
	new = wishes->new;
	wishes->new = NULL;
	pthread_mutex_unlock(&wishes->lock);
	while (new) {
		struct guest_wish *wish = new;

		new = wish->next;
		begin(wishes, registry, wish);
	}
}

int wishes_answered(struct wishes *wishes, struct guest *guest, const struct message *message)
{
	struct guest_wish *wish = guest->wishes;
	enum web_wish_kind kind = 0;
	uint64_t ticket = 0;

	while (kind < WISH_KIND_COUNT && kinds[kind].answer != message->header.type)
		kind++;
	/* An answer whose time was over already is no fault of the worker's. */
	if (kind == WISH_KIND_COUNT || !message->request || message->request >= guest->next_request)
		return -EBADMSG;
	if (kinds[kind].take && kinds[kind].take(guest, message, &ticket))
		return -EBADMSG;
	if (!wish || wish->request != message->request)
		return 0;
	if (wish->asked->kind != kind)
		return -EBADMSG;
	kinds[kind].reply(wish->asked, message);
	guest->wishes = wish->next;
	if (kinds[kind].take) {
		settle(wishes, wish, ticket);
	} else {
		wish->asked->done(wish->asked);
		free(wish);
	}
	send_first(guest);
	return 0;
}

/* The disk is too slow: it has happened, but whether it will be remembered nobody knows. */
static void give_up_settling(struct wishes *wishes, uint64_t now)
{
	for (struct guest_wish *wish = wishes->done; wish; wish = wish->next) {
		if (wish->ticket <= wishes->settled || wish->deadline > now)
			continue;
		wish->ticket = 0;
		wish->asked->error = -ETIMEDOUT;
		snprintf(wish->asked->detail, sizeof(wish->asked->detail),
			 "done, but the journal has not kept it yet");
	}
}

void wishes_check(struct wishes *wishes, struct registry *registry)
{
	uint64_t now = clock_seconds();

	for (size_t i = 0; i < registry->nr_guests; i++) {
		struct guest *guest = registry->guests[i];
		bool gone = guest->state != GUEST_RUNNING;

		while (guest->wishes && (gone || guest->wishes->deadline <= now)) {
			struct guest_wish *wish = guest->wishes;

			guest->wishes = wish->next;
			if (gone)
				answer(wish, -EPERM, "the guest is %s",
				       guest_state_name(guest->state));
			else
				answer(wish, -ETIMEDOUT, "the guest's worker did not answer");
		}
		if (guest->wishes)
			send_first(guest);
	}
	give_up_settling(wishes, now);
}

void wishes_settled(struct wishes *wishes, uint64_t ticket)
{
	wishes->settled = ticket;
}

void wishes_drop(struct guest *guest)
{
	while (guest->wishes) {
		struct guest_wish *wish = guest->wishes;

		guest->wishes = wish->next;
		answer(wish, -ENOENT, "the guest was removed");
	}
}

bool wishes_finished(const struct wishes *wishes)
{
	const struct guest_wish *wish = wishes->done;

	while (wish && wish->ticket > wishes->settled)
		wish = wish->next;
	return wish != NULL;
}

void wishes_finish(struct wishes *wishes)
{
	struct guest_wish **link = &wishes->done;

	while (*link) {
		struct guest_wish *wish = *link;
		struct web_wish *asked = wish->asked;

		if (wish->ticket > wishes->settled) {
			link = &wish->next;
			continue;
		}
		*link = wish->next;
		free(wish);
		asked->done(asked);
	}
}

static void refuse_all(struct guest_wish *list)
{
	while (list) {
		struct guest_wish *wish = list;

		list = wish->next;
		answer(wish, -ESHUTDOWN, "umbrad is stopping");
	}
}

void wishes_close(struct wishes *wishes, struct registry *registry)
{
	struct guest_wish *new;

	pthread_mutex_lock(&wishes->lock);
	wishes->closed = true;
	new = wishes->new;
	wishes->new = NULL;
	pthread_mutex_unlock(&wishes->lock);
	/* The journal writes what it has before umbrad ends. */
	wishes_settled(wishes, UINT64_MAX);
	wishes_finish(wishes);
	refuse_all(new);
	for (size_t i = 0; i < registry->nr_guests; i++) {
		refuse_all(registry->guests[i]->wishes);
		registry->guests[i]->wishes = NULL;
	}
}
