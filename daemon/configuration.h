/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbrad's configuration: INI files, every key checked, nothing ignored. */
#ifndef DAEMON_CONFIGURATION_H
#define DAEMON_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cost/cost.h"
#include "policy/policy.h"
#include "umbra/error.h"
#include "umbra/mode.h"

#define CONFIG_DEFAULT_FILE      "/etc/umbra/umbra.conf"
#define CONFIG_DEFAULT_DIRECTORY "/etc/umbra/umbra.conf.d"
#define CONFIG_DEFAULT_SOCKET    "/run/umbra/umbra.sock"

enum { CONFIG_NAME_MAX = 40, CONFIG_PATH_MAX = 4096, CONFIG_APPEND_MAX = 2048 };

struct guest_config {
	char name[CONFIG_NAME_MAX + 1];
	char image[CONFIG_PATH_MAX];
	char initrd[CONFIG_PATH_MAX]; /* empty: none */
	char append[CONFIG_APPEND_MAX];
	enum umbra_mode mode; /* at start */
	enum policy_kind policy;
	enum umbra_clock clock;
	uint64_t memory; /* bytes */
	unsigned int cpus;
	unsigned int processor;        /* number, see umbra_processor_name() */
	uint64_t interval;             /* units of guest time; 0: that of [policy] */
	bool console;                  /* its output goes to umbrad's standard error */
	struct umbra_cost_table costs; /* of the processor; filled by config_read_costs() */
};

struct config {
	char listen_address[64]; /* numeric, without brackets */
	uint16_t listen_port;    /* 0: any free one */
	char socket[108];        /* what a sockaddr_un holds */
	uint64_t interval;
	char costs[CONFIG_PATH_MAX]; /* a file that replaces figures of the cost model; empty: none
				      */
	struct guest_config *guests;
	size_t nr_guests;
};

void config_init(struct config *config);
void config_free(struct config *config);

/*
 * Reads @file and adds it to @config; a later file may set a key anew. -EINVAL: something in it is
 * unknown or wrong, and @ret_error names file, line, section, key and what was expected. Else the
 * errno of what could not be read.
 */
int config_read(struct config *config, const char *file, struct umbra_error *ret_error);
/* Reads the default file, if there is one, and then DIRECTORY/?*.conf in the order of their names.
 */
int config_read_default(struct config *config, const char *file, const char *directory,
			struct umbra_error *ret_error);
/*
 * Fills every guest's costs when everything was read; the file's name stays @config's. Errors as of
 * config_read(), of the file of costs.
 */
int config_read_costs(struct config *config, struct umbra_error *ret_error);
/* What can be told only when everything was read: each guest has an image. */
int config_check(const struct config *config, struct umbra_error *ret_error);

/* "ADDR:PORT" with a numeric address, IPv6 in brackets. 0 or -EINVAL. */
int config_parse_listen(const char *text, char ret_address[64], uint16_t *ret_port);

#endif
