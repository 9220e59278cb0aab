/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two threads share a batch of rows under a lock that is never held while the disk works: the main
 * thread fills it, the journal's takes it away and writes it. What a guest decides in a row for the
 * same reason is one row of a batch already, so that neither JSON nor SQL is made of most records.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/journal_private.h"

enum {
	ROWS_MAX = 4096,      /* of a batch; what comes on top is dropped */
	GUEST_ROWS_MAX = 256, /* likewise of one guest, so that none drives out the others */
};

int64_t journal_clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- guests ------------------------------------------------------------------------------- */

struct journal_guest *journal_find_guest(struct journal *journal, const char *name)
{
	struct journal_guest *guest = journal->guests;

	if (!*name || strlen(name) > CONFIG_NAME_MAX)
		return NULL;
	while (guest && strcmp(guest->name, name) != 0)
		guest = guest->next;
	if (guest)
		return guest;
	guest = calloc(1, sizeof(*guest));
	if (!guest)
		return NULL;
	strcpy(guest->name, name);
	guest->next = journal->guests;
	journal->guests = guest;
	return guest;
}

struct journal_guest *journal_guest(struct journal *journal, const char *name)
{
	struct journal_guest *guest;

	pthread_mutex_lock(&journal->lock);
	guest = journal_find_guest(journal, name);
	pthread_mutex_unlock(&journal->lock);
	return guest;
}

void journal_begin(struct journal *journal, struct journal_guest *guest)
{
	pthread_mutex_lock(&journal->lock);
	guest->base_decision = guest->last_decision;
	guest->base_switch = guest->last_switch;
	guest->reason = NULL;
	pthread_mutex_unlock(&journal->lock);
}

/* --- filling the batch: the main thread, with the lock ------------------------------------ */

/* The guest's place in this batch. */
static void enter_batch(struct journal *journal, struct journal_guest *guest)
{
	if (guest->batch == journal->batch.serial)
		return;
	guest->batch = journal->batch.serial;
	guest->nr_rows = 0;
	guest->decision = guest->switched = 0;
}

/* A new row; NULL: it is dropped, and counted. @guest: NULL: of no guest. */
static struct journal_row *add_row(struct journal *journal, struct journal_guest *guest,
				   enum journal_kind kind)
{
	/* What an operator set is never in anybody's way. */
	bool bounded = kind != JOURNAL_SETTING && kind != JOURNAL_FROZEN;
	struct batch *batch = &journal->batch;
	struct journal_row *row;

	if (bounded && (batch->nr >= ROWS_MAX || guest->nr_rows >= GUEST_ROWS_MAX)) {
		journal->status.dropped++;
		return NULL;
	}
	if (batch->nr == batch->capacity) {
		size_t capacity = batch->capacity ? 2 * batch->capacity : 16;
		void *rows = reallocarray(batch->rows, capacity, sizeof(*batch->rows));

		if (!rows) {
			journal->status.dropped++;
			return NULL;
		}
		batch->rows = rows;
		batch->capacity = capacity;
	}
	row = &batch->rows[batch->nr++];
	*row = (struct journal_row){.kind = kind};
	if (guest) {
		strcpy(row->guest, guest->name);
		guest->nr_rows++;
	}
	if (batch->nr == 1) {
		batch->since = journal_clock_ms(CLOCK_MONOTONIC);
		pthread_cond_signal(&journal->wake);
	}
	return row;
}

static bool goes_on(const struct journal_guest *guest, const struct policy_decision *decision)
{
	return guest->reason == decision->reason && guest->action == POLICY_STAY &&
	       decision->action == POLICY_STAY && guest->mode == decision->mode &&
	       guest->target == decision->target;
}

static void take_new(struct journal_guest *guest, const struct policy_decision *decision)
{
	int64_t now = journal_clock_ms(CLOCK_REALTIME);

	if (!goes_on(guest, decision)) {
		guest->run = (struct journal_run){
			.first_id = decision->id, .first_time = decision->time, .first_at = now};
		guest->decision = 0;
	}
	guest->run.last_id = decision->id;
	guest->run.count++;
	guest->run.at = now;
	guest->mode = decision->mode;
	guest->target = decision->target;
	guest->action = decision->action;
	guest->reason = decision->reason;
	guest->last_decision = decision->id;
}

/* One that is not the guest's latest: a stay in the midst of a row is not shown at all. */
static void amend(struct journal *journal, struct journal_guest *guest,
		  const struct policy_decision *decision)
{
	struct journal_row *row;

	if (decision->action == POLICY_STAY)
		return;
	row = add_row(journal, guest, JOURNAL_AMEND);
	if (row)
		row->decision.record = *decision;
}

static void put_latest(struct journal *journal, struct journal_guest *guest,
		       const struct policy_decision *decision)
{
	struct journal_row *row;

	if (!guest->decision) {
		if (!add_row(journal, guest, JOURNAL_DECISION))
			return;
		guest->decision = journal->batch.nr;
	}
	row = &journal->batch.rows[guest->decision - 1];
	row->decision.run = guest->run;
	row->decision.record = *decision;
}

int journal_decision(struct journal *journal, struct journal_guest *guest,
		     const struct policy_decision *decision)
{
	struct policy_decision record = *decision;
	int code = 0;

	pthread_mutex_lock(&journal->lock);
	enter_batch(journal, guest);
	record.id += guest->base_decision;
	if (!decision->id || decision->id > guest->last_decision - guest->base_decision + 1) {
		code = -EBADMSG;
	} else if (record.id > guest->last_decision) {
		take_new(guest, &record);
		put_latest(journal, guest, &record);
	} else if (record.id == guest->last_decision && guest->reason) {
		put_latest(journal, guest, &record);
	} else {
		amend(journal, guest, &record);
	}
	pthread_mutex_unlock(&journal->lock);
	return code;
}

uint64_t journal_decision_number(struct journal *journal, const struct journal_guest *guest,
				 uint64_t id)
{
	uint64_t number;

	pthread_mutex_lock(&journal->lock);
	number = guest->base_decision + id;
	pthread_mutex_unlock(&journal->lock);
	return number;
}

int journal_switch(struct journal *journal, struct journal_guest *guest, uint64_t number,
		   const struct switch_record *record)
{
	uint64_t all;
	struct journal_row *row = NULL;
	int code = 0;

	pthread_mutex_lock(&journal->lock);
	enter_batch(journal, guest);
	all = guest->base_switch + number;
	if (!number || number > guest->last_switch - guest->base_switch + 1)
		code = -EBADMSG;
	else if (all == guest->last_switch && guest->switched)
		row = &journal->batch.rows[guest->switched - 1];
	else
		row = add_row(journal, guest, JOURNAL_SWITCH);
	if (!code && all > guest->last_switch) {
		guest->last_switch = all;
		guest->switched = row ? journal->batch.nr : 0;
	}
	if (row) {
		row->switched.number = all;
		row->switched.record = *record;
		if (!row->switched.at)
			row->switched.at = journal_clock_ms(CLOCK_REALTIME);
	}
	pthread_mutex_unlock(&journal->lock);
	return code;
}

/* --- what operators set: the main thread -------------------------------------------------- */

bool journal_setting(struct journal *journal, const struct journal_guest *guest,
		     struct journal_setting *ret_setting)
{
	bool known;

	pthread_mutex_lock(&journal->lock);
	known = guest->has_setting;
	if (known)
		*ret_setting = guest->setting;
	pthread_mutex_unlock(&journal->lock);
	return known;
}

/* The journal's thread is not to wait for more. With the lock. */
static uint64_t ask(struct journal *journal)
{
	pthread_cond_signal(&journal->wake);
	return ++journal->asked;
}

uint64_t journal_set(struct journal *journal, struct journal_guest *guest,
		     const struct journal_setting *setting)
{
	struct journal_row *row;
	uint64_t ticket;

	pthread_mutex_lock(&journal->lock);
	guest->has_setting = setting != NULL;
	if (setting)
		guest->setting = *setting;
	enter_batch(journal, guest);
	row = add_row(journal, guest, JOURNAL_SETTING);
	if (row) {
		row->setting.known = guest->has_setting;
		row->setting.setting = guest->setting;
	}
	ticket = ask(journal);
	pthread_mutex_unlock(&journal->lock);
	return ticket;
}

bool journal_frozen(struct journal *journal)
{
	bool frozen;

	pthread_mutex_lock(&journal->lock);
	frozen = journal->frozen;
	pthread_mutex_unlock(&journal->lock);
	return frozen;
}

uint64_t journal_set_frozen(struct journal *journal, bool frozen)
{
	struct journal_row *row;
	uint64_t ticket;

	pthread_mutex_lock(&journal->lock);
	journal->frozen = frozen;
	journal->frozen_known = true;
	row = add_row(journal, NULL, JOURNAL_FROZEN);
	if (row)
		row->frozen = frozen;
	ticket = ask(journal);
	pthread_mutex_unlock(&journal->lock);
	return ticket;
}

uint64_t journal_settled(struct journal *journal)
{
	eventfd_t value;
	uint64_t settled;

	eventfd_read(journal->event, &value);
	pthread_mutex_lock(&journal->lock);
	settled = journal->settled;
	pthread_mutex_unlock(&journal->lock);
	return settled;
}

void journal_status(struct journal *journal, struct journal_status *ret_status)
{
	pthread_mutex_lock(&journal->lock);
	*ret_status = journal->status;
	pthread_mutex_unlock(&journal->lock);
}

/* --- the whole ---------------------------------------------------------------------------- */

static void destroy(struct journal *journal)
{
	struct journal_guest *guest;

	/* Readers first: the last one to close takes the log into the file, which they may not. */
	journal_pool_destroy(&journal->pool);
	journal_store_close(journal->store);
	while ((guest = journal->guests)) {
		journal->guests = guest->next;
		free(guest);
	}
	free(journal->batch.rows);
	pthread_cond_destroy(&journal->wake);
	pthread_mutex_destroy(&journal->lock);
	if (journal->event >= 0)
		close(journal->event);
	free(journal);
}

/* Signals are the main thread's. */
static int start_thread(struct journal *journal)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&journal->thread, NULL, journal_run, journal);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -code;
}

int journal_create(const struct journal_config *config, struct journal **ret_journal, int *ret_fd)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	pthread_condattr_t monotonic;
	int code;

	if (!journal)
		return -ENOMEM;
	journal->config = *config;
	if (!config->commit_ms)
		journal->config.commit_ms = JOURNAL_COMMIT_MS;
	if (!config->retry_ms)
		journal->config.retry_ms = JOURNAL_RETRY_MS;
	snprintf(journal->directory, sizeof(journal->directory), "%s",
		 config->directory ? config->directory : "");
	journal->config.directory = NULL;
	journal->batch.serial = 1;
	pthread_mutex_init(&journal->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&journal->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	journal_pool_init(&journal->pool);
	journal->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	code = journal->event < 0 ? -errno : 0;
	if (!code) {
		journal_open_first(journal);
		code = start_thread(journal);
	}
	if (code) {
		destroy(journal);
		return code;
	}
	*ret_journal = journal;
	*ret_fd = journal->event;
	return 0;
}

void journal_destroy(struct journal *journal)
{
	if (!journal)
		return;
	pthread_mutex_lock(&journal->lock);
	journal->stopping = true;
	pthread_cond_signal(&journal->wake);
	pthread_mutex_unlock(&journal->lock);
	pthread_join(journal->thread, NULL);
	destroy(journal);
}

/* --- reading ------------------------------------------------------------------------------ */

/* What a reader found goes to the thread that can do something about it. */
static int checked(struct journal *journal, int code)
{
	if (code == -EUCLEAN) {
		pthread_mutex_lock(&journal->lock);
		journal->damaged = true;
		pthread_cond_signal(&journal->wake);
		pthread_mutex_unlock(&journal->lock);
	}
	return code ? -EIO : 0;
}

int journal_read_decisions(void *journal, struct text *out, const char *guest, size_t limit,
			   uint64_t before)
{
	struct journal *j = journal;

	return checked(j, journal_pool_decisions(&j->pool, out, guest, limit, before));
}

int journal_read_switches(void *journal, struct text *out, const char *guest, size_t limit)
{
	struct journal *j = journal;

	return checked(j, journal_pool_switches(&j->pool, out, guest, limit));
}
