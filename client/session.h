/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One guest run by the client itself, from image to end. */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "client/options.h"
#include "policy/pilot.h"
#include "umbra/guest.h"

struct session;

struct session_config {
	const struct options *options;
	struct mode_choice choice;
	const char *image;            /* path */
	struct umbra_console console; /* members may be NULL */
	void (*flush)(
		void *context); /* called with the console's context now and then; may be NULL */
};

/* 0, or the exit status after the error was said. */
int session_create(const struct session_config *config, struct session **ret_session);
void session_destroy(struct session *session);

#define STATUS_SIGNAL 128 /* and the signal's number */

/*
 * Runs to the guest's end or a limit. Returns the exit status: the guest's value, 0, 120, 124,
 * 125, 70; 128 + the signal that stopped it.
 */
int session_run(struct session *session);

/* A path without its directories. */
const char *session_file_name(const char *path);

struct umbra_guest *session_guest(struct session *session);
struct pilot *session_pilot(struct session *session);
const struct umbra_cost_table *session_costs(const struct session *session);
/* Wall time of session_run(), nanoseconds. */
uint64_t session_wall_ns(const struct session *session);
/* "JSON of a run"; NULL: out of memory. */
json_t *session_json(struct session *session);
/*
 * Opens the file of --json before anything runs, so that a run is not lost for a wrong name;
 * *ret_file is NULL when there is no --json. 0, or the exit status after the error was said.
 */
int session_open_json(const struct options *options, FILE **ret_file);
/* Writes @json (NULL: out of memory) and drops it, closes @file. 0, or the exit status likewise. */
int session_write_json(const struct options *options, json_t *json, FILE *file);

#endif
