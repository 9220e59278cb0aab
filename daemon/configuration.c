/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/configuration.h"
#include "daemon/configuration_values.h"
#include "ini/costs_file.h"
#include "ini/ini_file.h"
#include "umbra/guest.h"

/* One file being read. */
struct reading {
	struct config *config;
	const char *file;
};

void config_init(struct config *config)
{
	*config = (struct config){.listen_port = 8642, .interval = CONFIG_DEFAULT_INTERVAL};
	strcpy(config->listen_address, "127.0.0.1");
	strcpy(config->socket, CONFIG_DEFAULT_SOCKET);
}

void config_free(struct config *config)
{
	free(config->guests);
	config->guests = NULL;
	config->nr_guests = 0;
}

static struct guest_config *find_guest(struct config *config, const char *name)
{
	for (size_t i = 0; i < config->nr_guests; i++) {
		if (!strcmp(config->guests[i].name, name))
			return &config->guests[i];
	}
	return NULL;
}

static void add_guest(struct ini_reading *ini, struct config *config, const char *section,
		      const char *name)
{
	struct guest_config *guests;

	if (!*name || strlen(name) > CONFIG_NAME_MAX ||
	    strspn(name, CONFIG_NAME_CHARACTERS) != strlen(name) || *name == '.') {
		ini_fail(ini, section, NULL,
			 "a guest's name is 1 to %d letters, digits, '-', '_' and '.', not first a "
			 "'.'",
			 CONFIG_NAME_MAX);
		return;
	}
	if (find_guest(config, name))
		return;
	guests = reallocarray(config->guests, config->nr_guests + 1, sizeof(*guests));
	if (!guests) {
		ini_fail(ini, section, NULL, "out of memory");
		return;
	}
	config->guests = guests;
	config_guest_init(&guests[config->nr_guests++], name);
}

/* What [section] is for; NULL: nothing, and @ini says so. */
static const struct config_key *section_keys(struct ini_reading *ini, const char *section,
					     const char **ret_guest)
{
	static const char guest[] = "guest ";

	*ret_guest = NULL;
	if (!strcmp(section, "umbrad"))
		return config_umbrad_keys;
	if (!strcmp(section, "policy"))
		return config_policy_keys;
	if (!strncmp(section, guest, strlen(guest))) {
		*ret_guest = section + strlen(guest);
		return config_guest_keys;
	}
	if (!strncmp(section, "workload ", 9) || !strncmp(section, "collector ", 10))
		ini_fail(ini, section, NULL, "this build has no such sections yet");
	else
		ini_fail(ini, section, NULL,
			 "unknown section; [umbrad], [policy] or [guest NAME] was expected");
	return NULL;
}

static void take_section(struct ini_reading *ini, void *context, const char *section)
{
	struct reading *reading = context;
	const char *guest;

	if (section_keys(ini, section, &guest) && guest)
		add_guest(ini, reading->config, section, guest);
}

static void take_key(struct ini_reading *ini, void *context, const char *section, const char *key,
		     const char *value)
{
	struct reading *reading = context;
	struct config_place place = {.config = reading->config, .file = reading->file};
	const struct config_key *row;
	const char *guest;
	char why[200] = "";

	row = section_keys(ini, section, &guest);
	if (!row)
		return;
	while (row->name && strcmp(row->name, key))
		row++;
	if (!row->name) {
		ini_fail(ini, section, key, "unknown key");
		return;
	}
	if (guest)
		place.guest = find_guest(reading->config, guest);
	if (row->parse(&place, value, why, sizeof(why)))
		ini_fail(ini, section, key, "\"%.60s\": %s", value, *why ? why : row->expected);
}

int config_read(struct config *config, const char *file, struct umbra_error *ret_error)
{
	static const struct ini_reader reader = {take_section, take_key};
	struct reading reading = {config, file};

	return ini_read(file, &reader, &reading, ret_error);
}

int config_read_default(struct config *config, const char *file, const char *directory,
			struct umbra_error *ret_error)
{
	char pattern[CONFIG_PATH_MAX];
	glob_t found;
	int code;

	code = config_read(config, file, ret_error);
	if (code && code != -ENOENT)
		return code;
	snprintf(pattern, sizeof(pattern), "%s/?*.conf", directory);
	if (glob(pattern, 0, NULL, &found))
		return 0;
	code = 0;
	for (size_t i = 0; i < found.gl_pathc && !code; i++)
		code = config_read(config, found.gl_pathv[i], ret_error);
	globfree(&found);
	return code;
}

int config_read_costs(struct config *config, struct umbra_error *ret_error)
{
	int code = 0;

	for (size_t i = 0; i < config->nr_guests && !code; i++) {
		struct guest_config *guest = &config->guests[i];

		umbra_cost_table_init(&guest->costs, umbra_processor_name(guest->processor));
		if (config->costs[0])
			code = costs_file_read(config->costs, &guest->costs, ret_error);
	}
	return code;
}

int config_check(const struct config *config, struct umbra_error *ret_error)
{
	for (size_t i = 0; i < config->nr_guests; i++) {
		const struct guest_config *guest = &config->guests[i];

		if (!guest->image[0]) {
			char place[64];

			snprintf(place, sizeof(place), "[guest %s] image", guest->name);
			return umbra_error_set(ret_error, -EINVAL, "configuration", place,
					       "missing; the path of an image was expected");
		}
		if (guest->mode == UMBRA_MODE_BARE && guest->policy != POLICY_PINNED)
			return umbra_error_set(ret_error, -EINVAL, "configuration", guest->name,
					       "a bare guest can only be pinned");
	}
	return 0;
}
