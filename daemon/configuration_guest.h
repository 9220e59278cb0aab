/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration of one guest, and the figures that guests of one processor share. */
#ifndef DAEMON_CONFIGURATION_GUEST_H
#define DAEMON_CONFIGURATION_GUEST_H

#include "daemon/configuration.h"

/* One thread counts who holds them. */
struct config_costs {
	struct umbra_cost_table table;
	char *file; /* that the table borrows */
	unsigned int refs;
};

/* What is known of @processor and what @file (empty: none) has of it; NULL, told. */
struct config_costs *config_costs_create(const char *processor, const char *file,
					 struct complaints *complaints);
/* @costs may be NULL. */
struct config_costs *config_costs_ref(struct config_costs *costs);
void config_costs_unref(struct config_costs *costs);

/* 0, or -ENOMEM and it can only be cleared. */
int config_guest_init(struct guest_config *guest, const char *name);
/* Frees what it holds, not itself. */
void config_guest_clear(struct guest_config *guest);

/* NULL: out of memory. */
struct guest_config *config_guest_copy(const struct guest_config *guest);
void config_guest_free(struct guest_config *guest); /* may be NULL */

/*
 * The first key, by name, for which a guest that runs with @a needs a new worker to run with @b;
 * NULL: none. Mode and policy change live, but for bare; restart is no matter of the worker's.
 */
const char *config_guest_difference(const struct guest_config *a, const struct guest_config *b);

#endif
