/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which files are read, and what their sections are. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/configuration.h"
#include "daemon/configuration_guest.h"
#include "daemon/configuration_values.h"
#include "ini/ini_file.h"

/* One file being read. */
struct reading {
	struct config *config;
	const struct config_key *keys; /* of the present section */
	struct config_target target;
};

/* Whether @name can be a guest's or a rule's; else @ini says why not. */
static bool check_name(struct ini_reading *ini, const char *section, const char *name)
{
	if (*name && *name != '.' && strlen(name) <= CONFIG_NAME_MAX &&
	    strspn(name, CONFIG_NAME_CHARACTERS) == strlen(name))
		return true;
	ini_fail(ini, section, NULL,
		 "a name is 1 to %d letters, digits, '-', '_' and '.', not first a '.'",
		 CONFIG_NAME_MAX);
	return false;
}

static struct config_place present_place(struct ini_reading *ini, const struct config *config)
{
	return (struct config_place){.file = config->nr_files - 1, .line = ini_line(ini)};
}

/* Room for one more element behind @nr of them: *array may move. */
static int grow(void **array, size_t nr, size_t size)
{
	void *grown;

	/* Powers of two: when nr is none there is room already. */
	if (nr & (nr - 1))
		return 0;
	grown = reallocarray(*array, nr ? nr * 2 : 1, size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	return 0;
}

struct guest_config *config_find_guest(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->nr_guests; i++) {
		if (!strcmp(config->guests[i].name, name))
			return &config->guests[i];
	}
	return NULL;
}

static struct workload_config *find_workload(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->nr_workloads; i++) {
		if (!strcmp(config->workloads[i].name, name))
			return &config->workloads[i];
	}
	return NULL;
}

static void begin_guest(struct ini_reading *ini, struct reading *reading, const char *section,
			const char *name)
{
	struct config *config = reading->config;
	struct guest_config *guest;

	if (!check_name(ini, section, name))
		return;
	reading->target.guest = config_find_guest(config, name);
	if (reading->target.guest)
		return;
	if (config->nr_guests == CONFIG_GUESTS_MAX) {
		ini_fail(ini, section, NULL, "at most %d guests were expected", CONFIG_GUESTS_MAX);
		return;
	}
	if (grow((void **)&config->guests, config->nr_guests, sizeof(*guest))) {
		ini_fail(ini, section, NULL, "out of memory");
		return;
	}
	guest = &config->guests[config->nr_guests++];
	if (config_guest_init(guest, name))
		ini_fail(ini, section, NULL, "out of memory");
	guest->place = present_place(ini, config);
	reading->target.guest = guest;
}

static void begin_workload(struct ini_reading *ini, struct reading *reading, const char *section,
			   const char *name)
{
	struct config *config = reading->config;
	struct workload_config *workload;

	if (!check_name(ini, section, name))
		return;
	reading->target.workload = find_workload(config, name);
	if (reading->target.workload)
		return;
	if (config->nr_workloads == CONFIG_WORKLOADS_MAX) {
		ini_fail(ini, section, NULL, "at most %d workloads were expected",
			 CONFIG_WORKLOADS_MAX);
		return;
	}
	if (grow((void **)&config->workloads, config->nr_workloads, sizeof(*workload))) {
		ini_fail(ini, section, NULL, "out of memory");
		return;
	}
	workload = &config->workloads[config->nr_workloads++];
	if (config_workload_init(workload, name))
		ini_fail(ini, section, NULL, "out of memory");
	workload->place = present_place(ini, config);
	reading->target.workload = workload;
}

static void begin_collector(struct ini_reading *ini, struct reading *reading, const char *section,
			    const char *name)
{
	enum config_collector collector;
	char why[128];

	if (config_parse_collector(name, &collector, why, sizeof(why)))
		ini_fail(ini, section, NULL, "%s", why);
	else
		reading->target.collector = &reading->config->collectors[collector];
}

static const struct {
	const char *name; /* all of it, or what stands before a name */
	void (*begin)(struct ini_reading *ini, struct reading *reading, const char *section,
		      const char *name); /* NULL: it has no name of its own */
	const struct config_key *keys;
} sections[] = {
	{"umbrad", NULL, config_umbrad_keys},
	{"policy", NULL, config_policy_keys},
	{"guest ", begin_guest, config_guest_keys},
	{"workload ", begin_workload, config_workload_keys},
	{"collector ", begin_collector, config_collector_keys},
};

static void take_section(struct ini_reading *ini, void *context, const char *section)
{
	struct reading *reading = context;

	reading->target.guest = NULL;
	reading->target.workload = NULL;
	reading->target.collector = NULL;
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		size_t len = strlen(sections[i].name);

		if (sections[i].begin ? strncmp(section, sections[i].name, len)
				      : strcmp(section, sections[i].name))
			continue;
		reading->keys = sections[i].keys;
		if (sections[i].begin)
			sections[i].begin(ini, reading, section, section + len);
		return;
	}
	ini_fail(ini, section, NULL,
		 "unknown section; [umbrad], [policy], [guest NAME], [workload NAME] or "
		 "[collector NAME] was expected");
}

static void list_keys(char *ret, size_t size, const struct config_key *keys)
{
	size_t len = 0;

	for (*ret = '\0'; keys->name && len < size; keys++)
		len += snprintf(ret + len, size - len, "%s%s", len ? ", " : "", keys->name);
}

static void take_key(struct ini_reading *ini, void *context, const char *section, const char *key,
		     const char *value)
{
	struct reading *reading = context;
	const struct config_key *row = reading->keys;
	char why[256] = "";

	while (row->name && strcmp(row->name, key))
		row++;
	if (!row->name) {
		list_keys(why, sizeof(why), reading->keys);
		ini_fail(ini, section, key, "\"%s\": unknown key; one of %s was expected", value,
			 why);
		return;
	}
	reading->target.again = ini_again(ini);
	if (!row->parse(&reading->target, value, why, sizeof(why)))
		return;
	ini_fail(ini, section, key, "\"%s\": %s", value, *why ? why : row->expected);
	if (reading->target.guest)
		reading->target.guest->wrong = true;
	if (reading->target.workload)
		reading->target.workload->wrong = true;
}

int config_read(struct config *config, const char *file, struct complaints *complaints)
{
	static const struct ini_reader reader = {take_section, take_key, "append"};
	struct reading reading = {.config = config, .target = {.config = config, .file = file}};

	if (!grow((void **)&config->files, config->nr_files, sizeof(*config->files)))
		config->files[config->nr_files] = strdup(file);
	if (!config->files || !config->files[config->nr_files])
		return complain(complaints, -ENOMEM, "%s: out of memory", file);
	config->nr_files++;
	return ini_read(file, &reader, &reading, complaints);
}

static int is_drop_in(const struct dirent *entry)
{
	static const char suffix[] = ".conf";
	size_t len = strlen(entry->d_name);

	return *entry->d_name != '.' && len > strlen(suffix) &&
	       !strcmp(entry->d_name + len - strlen(suffix), suffix);
}

/* In every locale the same. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_drop_ins(struct config *config, const char *directory,
			 struct complaints *complaints)
{
	struct dirent **names;
	int nr = scandir(directory, &names, is_drop_in, compare_names), code = 0;

	if (nr < 0 && errno == ENOENT)
		return 0;
	if (nr < 0)
		return complain(complaints, -errno, "%s: %s", directory, strerror(errno));
	for (int i = 0; i < nr; i++) {
		char *file;
		int one;

		if (asprintf(&file, "%s/%s", directory, names[i]->d_name) < 0)
			file = NULL;
		one = file ? config_read(config, file, complaints)
			   : complain(complaints, -ENOMEM, "%s: out of memory", directory);
		code = code ? code : one;
		free(file);
		free(names[i]);
	}
	free(names);
	return code;
}

int config_read_default(struct config *config, const char *file, const char *directory,
			struct complaints *complaints)
{
	int code = 0, drop_ins;

	/* One that is not there is none; one that cannot be reached may be there. */
	if (!access(file, F_OK) || errno != ENOENT)
		code = config_read(config, file, complaints);
	drop_ins = read_drop_ins(config, directory, complaints);
	return code ? code : drop_ins;
}

/* Beside the other one; nowhere if that has no directory, or its path leaves no room. */
static void place_collect_socket(struct config *config)
{
	static const char name[] = "collect.sock";
	const char *slash = strrchr(config->socket, '/');
	size_t len = slash ? slash - config->socket + 1 : 0;

	if (!len || len + sizeof(name) > sizeof(config->collect_socket))
		return;
	memcpy(config->collect_socket, config->socket, len);
	memcpy(config->collect_socket + len, name, sizeof(name));
}

int config_load(const struct config_source *source, struct config *ret_config,
		struct complaints *complaints)
{
	struct config config;
	int code = config_init(&config), finished;

	if (!code && source->file)
		code = config_read(&config, source->file, complaints);
	else if (!code)
		code = config_read_default(&config, CONFIG_DEFAULT_FILE, CONFIG_DEFAULT_DIRECTORY,
					   complaints);
	finished = config_finish(&config, complaints);
	code = code ? code : finished;
	if (code) {
		config_free(&config);
		return code;
	}
	if (source->listen)
		config_parse_listen(source->listen, config.listen_address, &config.listen_port);
	if (source->socket)
		snprintf(config.socket, sizeof(config.socket), "%s", source->socket);
	if (!config.has_collect_socket)
		place_collect_socket(&config);
	*ret_config = config;
	return 0;
}
