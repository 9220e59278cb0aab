/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/configuration_guest.h"
#include "daemon/guests.h"
#include "daemon/log.h"
#include "daemon/observed_advice.h"
#include "daemon/reload.h"

/* How many guests met with what. */
struct tally {
	unsigned int started, stopped, renewed, changed;
};

/* A key that a process keeps from its start to its end. */
static void tell_fixed(const char *key, bool changed)
{
	if (changed)
		log_write(LOG_WARNING, NULL,
			  "[umbrad] %s has changed: that takes effect when umbrad is started anew",
			  key);
}

static void tell_all_fixed(const struct config *before, const struct config *after)
{
	tell_fixed("listen", strcmp(before->listen_address, after->listen_address) ||
				     before->listen_port != after->listen_port);
	tell_fixed("socket", strcmp(before->socket, after->socket));
	tell_fixed("collect_socket", strcmp(before->collect_socket, after->collect_socket));
	tell_fixed("state", strcmp(before->state_directory, after->state_directory));
	tell_fixed("journal_days", before->journal_days != after->journal_days);
	tell_fixed("journal_size", before->journal_size != after->journal_size);
}

struct mode_wish {
	struct web_wish wish;
	struct umbrad *umbrad;
};

/* The guest, which may be gone, has what its configuration says, or has not. */
static void mode_done(struct web_wish *wish)
{
	struct mode_wish *asked = (struct mode_wish *)wish;
	struct guest *guest = registry_find(&asked->umbrad->registry, wish->id);

	if (guest)
		guest->behind = wish->error;
	if (guest && wish->error && wish->error != -ESHUTDOWN)
		log_write(LOG_WARNING, wish->id,
			  "not as configured until the next reload or start: %s", wish->detail);
	free(asked);
}

/*
 * Asks the guest's worker for what its configuration has now. Where the policy is free to choose
 * the mode is that of the next start only.
 */
static void ask_for_mode(struct guest *guest, const struct guest_config *next)
{
	struct mode_wish *asked = calloc(1, sizeof(*asked));
	struct web_wish *wish = &asked->wish;

	if (!asked) {
		log_write(LOG_ERR, next->name, "out of memory: mode and policy stay as they are");
		return;
	}
	asked->umbrad = guest->umbrad;
	*wish = (struct web_wish){
		.kind = WISH_MODE,
		.has_mode = (guest->behind || next->mode != guest->config->mode) &&
			    next->policy != POLICY_AUTO,
		.mode = next->mode,
		.policy = next->policy,
		.configured = true,
		.done = mode_done,
	};
	snprintf(wish->id, sizeof(wish->id), "%s", next->name);
	wishes_ask(guest->umbrad->wishes, wish);
}

static bool is_other(const struct guest *guest, const struct guest_config *next)
{
	return guest->behind || next->mode != guest->config->mode ||
	       next->policy != guest->config->policy;
}

/* Why the guest cannot just go on with @next; NULL: it can. */
static const char *why_renew(const struct guest *guest, const struct guest_config *next)
{
	static char why[64];
	const char *key = config_guest_difference(guest->config, next);

	if (guest->plan != PLAN_NONE)
		return guest->plan == PLAN_REMOVE ? "it is in the configuration again"
						  : "it was about to";
	if (key) {
		snprintf(why, sizeof(why), "%s has changed", key);
		return why;
	}
	/* It has done nothing yet that would be lost, and cannot be asked for anything. */
	return is_other(guest, next) && guest->state == GUEST_STARTING
		       ? "mode or policy has changed"
		       : NULL;
}

/* @next becomes the guest's. */
static void compare(struct guest *guest, struct guest_config *next, struct tally *tally)
{
	const char *why = why_renew(guest, next);

	if (why) {
		log_write(LOG_NOTICE, next->name, "%s: it starts anew", why);
		guests_renew(guest, next);
		tally->renewed++;
		return;
	}
	if (is_other(guest, next)) {
		tally->changed++;
		if (guest->state == GUEST_RUNNING)
			ask_for_mode(guest, next);
	}
	registry_reconfigure(guest, next);
}

/* Those that are known: they stop, or are compared with what they are to be. */
static void go_through_guests(struct umbrad *umbrad, struct tally *tally)
{
	struct registry *registry = &umbrad->registry;

	/* From the last one on: the present one may leave the array. */
	for (size_t i = registry->nr_guests; i--;) {
		struct guest *guest = registry->guests[i];
		const struct guest_config *found =
			config_find_guest(umbrad->config, guest->config->name);
		struct guest_config *next;

		if (!found && guest->plan == PLAN_REMOVE)
			continue;
		if (!found) {
			log_write(LOG_NOTICE, guest->config->name,
				  "it is no longer in the configuration: stopped");
			guests_remove(guest);
			tally->stopped++;
			continue;
		}
		next = config_guest_copy(found);
		if (next)
			compare(guest, next, tally);
		else
			log_write(LOG_ERR, guest->config->name, "out of memory: it stays as it is");
	}
}

static void start_new_guests(struct umbrad *umbrad, struct tally *tally)
{
	for (size_t i = 0; i < umbrad->config->nr_guests; i++) {
		const struct guest_config *config = &umbrad->config->guests[i];
		struct guest *guest;

		if (registry_find(&umbrad->registry, config->name))
			continue;
		if (registry_add(&umbrad->registry, config, &guest)) {
			log_write(LOG_ERR, config->name, "out of memory: it is not started");
			continue;
		}
		guests_start(umbrad, guest);
		tally->started++;
	}
}

static void apply(struct umbrad *umbrad, struct config *config)
{
	struct tally tally = {0};

	tell_all_fixed(umbrad->config, config);
	config_take_over(umbrad->config, config);
	observed_forget_costs(&umbrad->observed);
	umbrad->config_loaded = time(NULL);
	go_through_guests(umbrad, &tally);
	start_new_guests(umbrad, &tally);
	log_event(LOG_RELOADED, NULL, NULL,
		  "the configuration was read anew: guests: %u new, %u stopped, %u started anew, "
		  "%u with another mode or policy",
		  tally.started, tally.stopped, tally.renewed, tally.changed);
}

/* Keeps what is wrong for those who ask, in ASCII: a file may have any bytes. */
static void remember(struct umbrad *umbrad, const struct complaints *complaints, int code)
{
	size_t size = 0;
	FILE *stream = open_memstream(&umbrad->config_error, &size);

	if (!stream)
		return;
	for (size_t i = 0; i < complaints->nr; i++)
		fprintf(stream, "%s%s", i ? "\n" : "", complaints->text[i]);
	if (!complaints->nr)
		fputs(strerror(-code), stream);
	fclose(stream);
	for (char *c = umbrad->config_error; c && *c; c++) {
		if (*c != '\n' && (*c < ' ' || *c > '~'))
			*c = '?';
	}
}

static void refuse(struct umbrad *umbrad, const struct complaints *complaints, int code)
{
	for (size_t i = 0; i < complaints->nr; i++)
		log_write(LOG_ERR, NULL, "%s", complaints->text[i]);
	log_event(LOG_RELOAD_REFUSED, NULL, NULL,
		  "the configuration was not read anew and stays as it was: %zu%s mistakes",
		  complaints->nr, complaints_full(complaints) ? " or more" : "");
	remember(umbrad, complaints, code);
}

void reload(struct umbrad *umbrad)
{
	struct complaints complaints = {0};
	struct config config;
	int code;

	notify_reloading();
	free(umbrad->config_error);
	umbrad->config_error = NULL;
	code = config_load(&umbrad->source, &config, &complaints);
	if (code) {
		refuse(umbrad, &complaints, code);
	} else {
		apply(umbrad, &config);
		config_free(&config);
	}
	complaints_free(&complaints);
	notify_ready();
}
