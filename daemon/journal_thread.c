/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal's thread: the only one that the disk can keep waiting. */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "daemon/journal_private.h"

enum {
	ROWS_KEPT = 64,   /* rows whose memory an empty batch keeps */
	PRUNE_STEPS = 16, /* after each commit */
	MS_PER_SECOND = 1000,
	NS_PER_MS = 1000000,
	MS_PER_DAY = 86400000,
};

/* In memory: what a daemon can spare. */
static const uint64_t memory_bytes_max = UINT64_C(8) << 20;

static void report(struct journal *journal, bool trouble, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void report(struct journal *journal, bool trouble, const char *format, ...)
{
	char text[JOURNAL_TEXT_MAX + 4400];
	va_list arguments;

	if (!journal->config.report)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	journal->config.report(journal->config.context, trouble, text);
}

/* Of a file that is being read. With the lock. */
static void load_guest(void *context, const char *name, uint64_t last_decision,
		       uint64_t last_switch)
{
	struct journal_guest *guest = journal_find_guest(context, name);

	if (!guest)
		return;
	guest->shift_decision = last_decision;
	guest->shift_switch = last_switch;
}

static void load_setting(void *context, const char *name, const struct journal_setting *setting)
{
	struct journal_guest *guest = journal_find_guest(context, name);

	if (!guest || guest->has_setting)
		return;
	guest->has_setting = true;
	guest->setting = *setting;
}

static void load_frozen(void *context, bool frozen)
{
	struct journal *journal = context;

	if (!journal->frozen_known)
		journal->frozen = frozen;
	journal->frozen_known = true;
}

static void shift_row(struct journal_row *row, const struct journal_guest *guest)
{
	if (row->kind == JOURNAL_SWITCH) {
		row->switched.number += guest->shift_switch;
	} else if (row->kind == JOURNAL_DECISION || row->kind == JOURNAL_AMEND) {
		row->decision.record.id += guest->shift_decision;
		row->decision.run.first_id += guest->shift_decision;
		row->decision.run.last_id += guest->shift_decision;
	}
}

/* Numbers that were given without knowledge of the file's go on after those. With the lock. */
static void shift(struct journal *journal)
{
	for (size_t i = 0; i < journal->batch.nr; i++) {
		struct journal_row *row = &journal->batch.rows[i];

		if (*row->guest)
			shift_row(row, journal_find_guest(journal, row->guest));
	}
	for (struct journal_guest *guest = journal->guests; guest; guest = guest->next) {
		guest->last_decision += guest->shift_decision;
		guest->base_decision += guest->shift_decision;
		guest->run.first_id += guest->shift_decision;
		guest->run.last_id += guest->shift_decision;
		guest->last_switch += guest->shift_switch;
		guest->base_switch += guest->shift_switch;
		guest->shift_decision = guest->shift_switch = 0;
	}
}

/*
 * Writes what is known of guests, @shifted: by the file that was there before, and of what
 * operators set, to a store that has none of it.
 */
static int write_known(struct journal *journal, struct journal_store *store, bool shifted,
		       char text[JOURNAL_TEXT_MAX])
{
	struct journal_row row = {.kind = JOURNAL_FROZEN, .frozen = journal->frozen};
	int code = 0;

	if (journal->frozen_known)
		code = journal_store_write(store, &row, 1, text);
	for (struct journal_guest *guest = journal->guests; guest && !code; guest = guest->next) {
		code = journal_store_note(store, guest->name,
					  shifted ? guest->shift_decision : guest->last_decision,
					  shifted ? guest->shift_switch : guest->last_switch, text);
		row = (struct journal_row){.kind = JOURNAL_SETTING};
		strcpy(row.guest, guest->name);
		row.setting.known = true;
		row.setting.setting = guest->setting;
		if (!code && guest->has_setting)
			code = journal_store_write(store, &row, 1, text);
	}
	return code;
}

/* From now on @store, or none. */
static void use(struct journal *journal, struct journal_store *store, bool on_disk,
		const char *state)
{
	journal_store_close(journal->store);
	journal->store = store;
	journal->on_disk = on_disk;
	pthread_mutex_lock(&journal->lock);
	journal->status.up = !strcmp(state, "ok") || !*journal->directory;
	snprintf(journal->status.state, sizeof(journal->status.state), "%s", state);
	journal_pool_move(&journal->pool, on_disk ? journal->status.path : NULL,
			  journal->memory_name);
	pthread_mutex_unlock(&journal->lock);
}

/* The disk failed: on in memory, from where the guests are now. */
static void go_on_in_memory(struct journal *journal, const char *why)
{
	char text[JOURNAL_TEXT_MAX], state[sizeof(journal->status.state)];
	struct journal_store *store = NULL;

	/* A reader may still hold the last one. */
	snprintf(journal->memory_name, sizeof(journal->memory_name), "umbra-journal-%p-%u",
		 (void *)journal, journal->nr_memories++);
	if (*journal->directory) {
		snprintf(state, sizeof(state), "degraded: %s; going on in memory", why);
		report(journal, true, "the journal: %s; going on in memory", why);
	} else {
		snprintf(state, sizeof(state), "%s", why);
	}
	if (journal_store_open_memory(journal->memory_name, &store, text)) {
		snprintf(state, sizeof(state), "degraded: %.240s; and in memory: %.240s", why,
			 text);
		report(journal, true, "the journal in memory: %s", text);
	}
	if (store) {
		pthread_mutex_lock(&journal->lock);
		write_known(journal, store, false, text);
		pthread_mutex_unlock(&journal->lock);
	}
	use(journal, store, false, state);
	journal->retry_at = journal_clock_ms(CLOCK_MONOTONIC) + journal->config.retry_ms;
}

/* A damaged file makes room for a new one, which gets what can still be read of the old one. */
static int replace_damaged(struct journal *journal, const struct journal_loader *loader,
			   struct journal_store **ret_store, char text[JOURNAL_TEXT_MAX])
{
	char aside[sizeof(journal->status.aside)];
	size_t len = strlen(text);
	int code;

	pthread_mutex_lock(&journal->lock);
	if (!journal->loaded)
		journal_store_salvage(journal->directory, loader);
	pthread_mutex_unlock(&journal->lock);
	code = journal_store_set_aside(journal->directory, aside, sizeof(aside));
	if (code) {
		snprintf(text + len, JOURNAL_TEXT_MAX - len, "; it cannot be renamed: %s",
			 strerror(-code));
		return code;
	}
	report(journal, true, "the journal: %s; set aside as %s", text, aside);
	pthread_mutex_lock(&journal->lock);
	snprintf(journal->status.aside, sizeof(journal->status.aside), "%s", aside);
	pthread_mutex_unlock(&journal->lock);
	code = journal_store_open(journal->directory, ret_store, text);
	if (code || journal->loaded)
		return code;
	pthread_mutex_lock(&journal->lock);
	code = write_known(journal, *ret_store, true, text);
	pthread_mutex_unlock(&journal->lock);
	if (code)
		journal_store_close(*ret_store);
	return code;
}

/*
 * Opens the file and takes over what is in memory, if anything is. 0, or a negative errno and the
 * story: then nothing has changed.
 */
static int go_to_disk(struct journal *journal, char text[JOURNAL_TEXT_MAX])
{
	const struct journal_loader loader = {load_guest, load_setting, load_frozen, journal};
	struct journal_store *store = NULL;
	int code = journal_store_open(journal->directory, &store, text);

	if (code == -EUCLEAN)
		code = replace_damaged(journal, &loader, &store, text);
	if (code)
		return code;
	if (!journal->loaded) {
		pthread_mutex_lock(&journal->lock);
		code = journal_store_load(store, &loader, text);
		pthread_mutex_unlock(&journal->lock);
	}
	if (!code && journal->store)
		code = journal_store_carry(store, journal->memory_name, !journal->loaded, text);
	if (code) {
		journal_store_close(store);
		return code;
	}
	pthread_mutex_lock(&journal->lock);
	if (!journal->loaded)
		shift(journal);
	pthread_mutex_unlock(&journal->lock);
	journal->loaded = true;
	use(journal, store, true, "ok");
	return 0;
}

static void retry(struct journal *journal)
{
	char text[JOURNAL_TEXT_MAX];

	journal->retry_at = journal_clock_ms(CLOCK_MONOTONIC) + journal->config.retry_ms;
	if (!go_to_disk(journal, text))
		report(journal, false, "the journal: in %s again", journal->status.path);
}

/* The file failed. A damaged one is replaced at once; the disk is tried again later. */
static void leave_disk(struct journal *journal, int code, const char *why)
{
	go_on_in_memory(journal, why);
	if (code == -EUCLEAN)
		retry(journal);
}

/* A store in memory has no readers while it is written. */
static void hold_memory(struct journal *journal)
{
	if (!journal->on_disk)
		pthread_mutex_lock(&journal->pool.memory);
}

static void release_memory(struct journal *journal)
{
	if (!journal->on_disk)
		pthread_mutex_unlock(&journal->pool.memory);
}

/* journal_store_write() to the present store. */
static int write_rows(struct journal *journal, const struct batch *batch,
		      char text[JOURNAL_TEXT_MAX])
{
	int code = -EIO;

	if (!journal->store)
		return code;
	hold_memory(journal);
	code = journal_store_write(journal->store, batch->rows, batch->nr, text);
	release_memory(journal);
	return code;
}

static int prune_step(struct journal *journal, int64_t oldest, uint64_t bytes, bool *ret_more,
		      char text[JOURNAL_TEXT_MAX])
{
	int code;

	hold_memory(journal);
	code = journal_store_prune(journal->store, oldest, bytes, ret_more, text);
	release_memory(journal);
	return code;
}

static void write_batch(struct journal *journal, const struct batch *batch)
{
	char text[JOURNAL_TEXT_MAX];
	int code;

	if (!batch->nr)
		return;
	code = write_rows(journal, batch, text);
	if (code && journal->on_disk) {
		bool damaged = code == -EUCLEAN;

		go_on_in_memory(journal, text);
		code = write_rows(journal, batch, text);
		if (damaged)
			retry(journal);
	}
	if (!code)
		return;
	pthread_mutex_lock(&journal->lock);
	journal->status.dropped += batch->nr;
	pthread_mutex_unlock(&journal->lock);
}

static uint64_t bytes_max(const struct journal *journal)
{
	uint64_t bytes = journal->config.bytes;

	return journal->on_disk || (bytes && bytes < memory_bytes_max) ? bytes : memory_bytes_max;
}

static void prune(struct journal *journal)
{
	int64_t oldest = INT64_MIN + 1;
	char text[JOURNAL_TEXT_MAX];
	bool more = true;
	int code = 0;

	if (journal->config.days)
		oldest = journal_clock_ms(CLOCK_REALTIME) -
			 (int64_t)journal->config.days * MS_PER_DAY;
	for (int i = 0; i < PRUNE_STEPS && more && !code && journal->store; i++)
		code = prune_step(journal, oldest, bytes_max(journal), &more, text);
	if (code && journal->on_disk)
		leave_disk(journal, code, text);
}

static void show(struct journal *journal)
{
	uint64_t rows = journal->store ? journal_store_rows(journal->store) : 0;
	uint64_t bytes = journal->store ? journal_store_bytes(journal->store) : 0;

	pthread_mutex_lock(&journal->lock);
	journal->status.rows = rows;
	journal->status.bytes = bytes;
	pthread_mutex_unlock(&journal->lock);
}

/* Takes the batch away, leaving an empty one with the memory of @spare. With the lock. */
static struct batch take_batch(struct journal *journal, struct batch *spare)
{
	struct batch taken = journal->batch;

	journal->batch = *spare;
	journal->batch.nr = 0;
	journal->batch.serial = taken.serial + 1;
	*spare = (struct batch){0};
	return taken;
}

static void keep_spare(struct batch *batch, struct batch *spare)
{
	if (batch->capacity > ROWS_KEPT) {
		free(batch->rows);
		*batch = (struct batch){0};
	}
	*spare = *batch;
}

/* When there is something to do next; monotonic milliseconds. With the lock. */
static int64_t next_time(const struct journal *journal, int64_t prune_at)
{
	int64_t next = prune_at;

	if (journal->stopping || journal->asked != journal->settled || journal->damaged)
		return 0;
	if (journal->batch.nr && journal->batch.since + journal->config.commit_ms < next)
		next = journal->batch.since + journal->config.commit_ms;
	if (*journal->directory && !journal->on_disk && journal->retry_at < next)
		next = journal->retry_at;
	return next;
}

/* Waits until there is something to do. With the lock. */
static void wait_for_work(struct journal *journal, int64_t prune_at)
{
	int64_t next;

	while ((next = next_time(journal, prune_at)) > journal_clock_ms(CLOCK_MONOTONIC)) {
		const struct timespec until = {
			.tv_sec = next / MS_PER_SECOND,
			.tv_nsec = next % MS_PER_SECOND * NS_PER_MS,
		};

		pthread_cond_timedwait(&journal->wake, &journal->lock, &until);
	}
}

void *journal_run(void *context)
{
	struct journal *journal = context;
	struct batch batch, spare = {0};
	uint64_t asked;
	bool stopping, damaged;

	do {
		pthread_mutex_lock(&journal->lock);
		wait_for_work(journal, journal_clock_ms(CLOCK_MONOTONIC) + JOURNAL_RETRY_MS);
		batch = take_batch(journal, &spare);
		asked = journal->asked;
		stopping = journal->stopping;
		damaged = journal->damaged;
		journal->damaged = false;
		pthread_mutex_unlock(&journal->lock);

		if (damaged && journal->on_disk)
			leave_disk(journal, -EUCLEAN, JOURNAL_FILE ": damaged where it was read");
		write_batch(journal, &batch);
		if (*journal->directory && !journal->on_disk &&
		    journal->retry_at <= journal_clock_ms(CLOCK_MONOTONIC))
			retry(journal);
		prune(journal);
		show(journal);
		keep_spare(&batch, &spare);

		pthread_mutex_lock(&journal->lock);
		if (asked != journal->settled)
			eventfd_write(journal->event, 1);
		journal->settled = asked;
		pthread_mutex_unlock(&journal->lock);
	} while (!stopping);
	free(spare.rows);
	return NULL;
}

void journal_open_first(struct journal *journal)
{
	char text[JOURNAL_TEXT_MAX];

	if (!*journal->directory) {
		go_on_in_memory(journal, "in memory: no state directory is configured");
	} else {
		snprintf(journal->status.path, sizeof(journal->status.path), "%s/" JOURNAL_FILE,
			 journal->directory);
		if (go_to_disk(journal, text))
			go_on_in_memory(journal, text);
	}
	show(journal);
}
