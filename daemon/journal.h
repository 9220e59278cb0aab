/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decision journal: what the policy decided, what was switched and what operators set, kept in
 * SQLite. umbrad's main thread hands records over and never waits for the disk; a thread of the
 * journal's own writes them within a second. Where the disk fails the journal goes on in memory,
 * says so, and tries again.
 */
#ifndef DAEMON_JOURNAL_H
#define DAEMON_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"
#include "policy/record.h"

struct text; /* web/text.h */
struct journal;
struct journal_guest; /* a guest as the journal knows it: by its id, for as long as the journal */

struct journal_config {
	const char *directory;            /* NULL or empty: in memory only */
	unsigned int days;                /* that records are kept; 0: no bound */
	uint64_t bytes;                   /* that the file may have, about; 0: no bound */
	unsigned int commit_ms, retry_ms; /* 0: the defaults; tests shorten them */
	/* Told once of each trouble, and of its end. Any thread. May be NULL. */
	void (*report)(void *context, bool trouble, const char *text);
	void *context;
};

/* What an operator set, and what the configuration said then: when that changes, it wins. */
struct journal_setting {
	enum umbra_mode mode, config_mode;
	enum policy_kind policy, config_policy;
};

struct journal_status {
	bool up;          /* everything is kept where the configuration says */
	char state[600];  /* ok, or why not */
	char path[4200];  /* of the file; empty: in memory only */
	char aside[4300]; /* a damaged file that was renamed; empty: none in this run */
	uint64_t rows;    /* decisions and switches that are kept */
	uint64_t bytes;   /* that they take */
	uint64_t dropped; /* records lost since umbrad's start: the disk was too slow */
};

/*
 * Opens it and starts its thread. A disk that fails is no error: it goes on in memory. *ret_fd
 * becomes readable when journal_settled() has grown; it belongs to the journal. 0 or a negative
 * errno.
 */
int journal_create(const struct journal_config *config, struct journal **ret_journal, int *ret_fd);
/* Writes what is still to be written. May be NULL. */
void journal_destroy(struct journal *journal);

/* --- the main thread's -------------------------------------------------------------------- */

/* The guest called @name, new or known; NULL: out of memory. */
struct journal_guest *journal_guest(struct journal *journal, const char *name);
/* A run of the guest begins: what follows counts from 1 and is numbered on from its last one. */
void journal_begin(struct journal *journal, struct journal_guest *guest);

/*
 * A record is new, or has changed: its number says which. Numbers are those of the guest's run. 0,
 * or -EBADMSG: no run counts like that.
 */
int journal_decision(struct journal *journal, struct journal_guest *guest,
		     const struct policy_decision *decision);
int journal_switch(struct journal *journal, struct journal_guest *guest, uint64_t number,
		   const struct switch_record *record);

/* The number for ever of the decision that is number @id of the guest's present run. */
uint64_t journal_decision_number(struct journal *journal, const struct journal_guest *guest,
				 uint64_t id);

/* What an operator set for the guest; false: nothing, the configuration decides. */
bool journal_setting(struct journal *journal, const struct journal_guest *guest,
		     struct journal_setting *ret_setting);
/* Written at once. The ticket: kept when journal_settled() has reached it. NULL: take it back. */
uint64_t journal_set(struct journal *journal, struct journal_guest *guest,
		     const struct journal_setting *setting);
bool journal_frozen(struct journal *journal);
uint64_t journal_set_frozen(struct journal *journal, bool frozen);
uint64_t journal_settled(struct journal *journal);

void journal_status(struct journal *journal, struct journal_status *ret_status);

/* --- any thread's, as of web/history.h
 * ------------------------------------------------------------------------- */

/*
 * Writes the guest's last @limit rows, oldest first, as an array of the API's objects; @before: of
 * those that began before that id; 0: of all. 0, or -EIO: they cannot be read, and nothing that
 * counts was written.
 */
int journal_read_decisions(void *journal, struct text *out, const char *guest, size_t limit,
			   uint64_t before);
int journal_read_switches(void *journal, struct text *out, const char *guest, size_t limit);

#endif
