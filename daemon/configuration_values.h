/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of each section and what their values may be. */
#ifndef DAEMON_CONFIGURATION_VALUES_H
#define DAEMON_CONFIGURATION_VALUES_H

#include "daemon/configuration.h"

#define CONFIG_NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

/* Where a value goes. */
struct config_target {
	struct config *config;
	/* What the section is about; of these no more than one is not NULL. */
	struct guest_config *guest;
	struct workload_config *workload;
	bool *collector;
	const char *file; /* that the value stands in */
	bool again;       /* the key stood there before */
};

struct config_key {
	const char *name; /* NULL ends the rows */
	/* 0 or -EINVAL; @why, if it is filled, replaces expected. */
	int (*parse)(const struct config_target *target, const char *value, char *why, size_t size);
	const char *expected;
};

extern const struct config_key config_umbrad_keys[], config_policy_keys[], config_guest_keys[],
	config_workload_keys[], config_collector_keys[];

/* 0, or -ENOMEM and it can only be cleared, which frees what it holds. */
int config_workload_init(struct workload_config *workload, const char *name);
void config_workload_clear(struct workload_config *workload);

/* 0, or -EINVAL: this build has no such collector, and @why says so. */
int config_parse_collector(const char *name, enum config_collector *ret, char *why, size_t size);

#endif
