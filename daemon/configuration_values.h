/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of each section and what their values may be. */
#ifndef DAEMON_CONFIGURATION_VALUES_H
#define DAEMON_CONFIGURATION_VALUES_H

#include "daemon/configuration.h"

enum { CONFIG_DEFAULT_INTERVAL = 10000000 };

#define CONFIG_NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

/* Where a value goes. */
struct config_place {
	struct config *config;
	struct guest_config *guest; /* NULL outside of [guest NAME] */
	const char *file;           /* that it stands in */
};

struct config_key {
	const char *name; /* NULL ends the rows */
	/* 0 or -EINVAL; @why, if it is filled, replaces expected. */
	int (*parse)(const struct config_place *place, const char *value, char *why, size_t size);
	const char *expected;
};

extern const struct config_key config_umbrad_keys[], config_policy_keys[], config_guest_keys[];

void config_guest_init(struct guest_config *guest, const char *name);

#endif
