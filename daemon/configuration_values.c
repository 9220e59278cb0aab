/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/configuration_values.h"
#include "umbra/guest.h"

enum { MIB = 1024 * 1024 };

static const uint64_t memory_default = 128ull * MIB;
static const uint64_t memory_min = 1ull * MIB;
static const uint64_t memory_max = 2048ull * MIB;
static const uint64_t interval_min = 10000;

void config_guest_init(struct guest_config *guest, const char *name)
{
	*guest = (struct guest_config){
		.mode = UMBRA_MODE_EPT,
		.policy = POLICY_AUTO,
		.clock = UMBRA_CLOCK_CYCLES,
		.memory = memory_default,
		.cpus = 1,
	};
	snprintf(guest->name, sizeof(guest->name), "%s", name);
}

/* A whole number without a sign. */
static int parse_number(const char *text, uint64_t *ret_value, char **ret_end)
{
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*ret_value = strtoull(text, ret_end, 10);
	return errno ? -EINVAL : 0;
}

static int copy_text(char *to, size_t size, const char *text, char *why, size_t why_size)
{
	if (strlen(text) >= size) {
		snprintf(why, why_size, "longer than %zu bytes", size - 1);
		return -EINVAL;
	}
	strcpy(to, text);
	return 0;
}

int config_parse_listen(const char *text, char ret_address[64], uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	bool bracketed = *text == '[';
	unsigned char binary[sizeof(struct in6_addr)];
	char address[64], *end;
	uint64_t port;
	size_t len;

	if (!colon || parse_number(colon + 1, &port, &end) || *end || port > UINT16_MAX)
		return -EINVAL;
	len = colon - text;
	if (bracketed && (len < 3 || text[len - 1] != ']'))
		return -EINVAL;
	if (bracketed) {
		text++;
		len -= 2;
	}
	if (!len || len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (inet_pton(bracketed ? AF_INET6 : AF_INET, address, binary) != 1)
		return -EINVAL;
	strcpy(ret_address, address);
	*ret_port = port;
	return 0;
}

static int parse_listen(const struct config_place *place, const char *value, char *why, size_t size)
{
	return config_parse_listen(value, place->config->listen_address,
				   &place->config->listen_port);
}

static int parse_socket(const struct config_place *place, const char *value, char *why, size_t size)
{
	if (*value != '/')
		return -EINVAL;
	return copy_text(place->config->socket, sizeof(place->config->socket), value, why, size);
}

/* A path that is not absolute starts where the configuration file is. */
static int copy_path(const struct config_place *place, char ret[CONFIG_PATH_MAX], const char *value,
		     char *why, size_t size)
{
	const char *slash = strrchr(place->file, '/');
	char path[CONFIG_PATH_MAX];

	if (!*value)
		return -EINVAL;
	if (*value == '/' || !slash)
		snprintf(path, sizeof(path), "%s", value);
	else
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - place->file), place->file,
			 value);
	return copy_text(ret, CONFIG_PATH_MAX, path, why, size);
}

static int parse_costs(const struct config_place *place, const char *value, char *why, size_t size)
{
	return copy_path(place, place->config->costs, value, why, size);
}

static int parse_image(const struct config_place *place, const char *value, char *why, size_t size)
{
	return copy_path(place, place->guest->image, value, why, size);
}

static int parse_engine(const struct config_place *place, const char *value, char *why, size_t size)
{
	if (!strcmp(value, "kvm"))
		snprintf(why, size, "the engine kvm is not in this build; soft was expected");
	return strcmp(value, "soft") ? -EINVAL : 0;
}

static int parse_mode(const struct config_place *place, const char *value, char *why, size_t size)
{
	if (!strcmp(value, "auto")) {
		place->guest->mode = UMBRA_MODE_EPT;
		place->guest->policy = POLICY_AUTO;
		return 0;
	}
	if (umbra_mode_parse(value, &place->guest->mode))
		return -EINVAL;
	place->guest->policy = POLICY_PINNED;
	return 0;
}

static int parse_memory(const struct config_place *place, const char *value, char *why, size_t size)
{
	static const char suffixes[] = "KMG";
	uint64_t memory;
	char *end;

	if (parse_number(value, &memory, &end))
		return -EINVAL;
	if (*end) {
		const char *suffix = strchr(suffixes, *end);

		if (!suffix || end[1] || memory > memory_max)
			return -EINVAL;
		memory <<= 10 * (suffix - suffixes + 1);
	}
	if (memory < memory_min || memory > memory_max || memory % 4096)
		return -EINVAL;
	place->guest->memory = memory;
	return 0;
}

static int parse_cpus(const struct config_place *place, const char *value, char *why, size_t size)
{
	uint64_t cpus;
	char *end;

	if (parse_number(value, &cpus, &end) || *end || !cpus || cpus > UMBRA_MAX_CPUS)
		return -EINVAL;
	place->guest->cpus = (unsigned int)cpus;
	return 0;
}

static int parse_append(const struct config_place *place, const char *value, char *why, size_t size)
{
	return copy_text(place->guest->append, sizeof(place->guest->append), value, why, size);
}

static int parse_initrd(const struct config_place *place, const char *value, char *why, size_t size)
{
	return copy_path(place, place->guest->initrd, value, why, size);
}

static int parse_processor(const struct config_place *place, const char *value, char *why,
			   size_t size)
{
	struct umbra_error error;
	int code = umbra_processor_parse(value, &place->guest->processor, &error);

	if (code)
		snprintf(why, size, "%s", error.text);
	return code;
}

static int parse_restart(const struct config_place *place, const char *value, char *why,
			 size_t size)
{
	if (!strcmp(value, "always"))
		snprintf(why, size, "restarting guests is not in this build; no was expected");
	return strcmp(value, "no") ? -EINVAL : 0;
}

static int parse_clock(const struct config_place *place, const char *value, char *why, size_t size)
{
	return umbra_clock_parse(value, &place->guest->clock);
}

static int parse_interval(const struct config_place *place, const char *value, char *why,
			  size_t size)
{
	uint64_t interval;
	char *end;

	if (parse_number(value, &interval, &end) || *end || interval < interval_min)
		return -EINVAL;
	*(place->guest ? &place->guest->interval : &place->config->interval) = interval;
	return 0;
}

static int parse_console(const struct config_place *place, const char *value, char *why,
			 size_t size)
{
	if (strcmp(value, "discard") && strcmp(value, "stderr"))
		return -EINVAL;
	place->guest->console = !strcmp(value, "stderr");
	return 0;
}

const struct config_key config_umbrad_keys[] = {
	{"listen", parse_listen, "ADDRESS:PORT with a numeric address was expected"},
	{"socket", parse_socket, "an absolute path was expected"},
	{"costs", parse_costs, "the path of a file of costs was expected"},
	{NULL, NULL, NULL},
};

const struct config_key config_policy_keys[] = {
	{"interval", parse_interval, "10000 or more units of guest time were expected"},
	{NULL, NULL, NULL},
};

const struct config_key config_guest_keys[] = {
	{"image", parse_image, "the path of an image was expected"},
	{"engine", parse_engine, "soft was expected"},
	{"mode", parse_mode, "bare, brute, shadow, ept or auto was expected"},
	{"memory", parse_memory, "1M to 2G, a multiple of 4096 bytes, was expected"},
	{"cpus", parse_cpus, "1 to 8 was expected"},
	{"append", parse_append, "a command line was expected"},
	{"initrd", parse_initrd, "the path of an initrd was expected"},
	{"processor", parse_processor, "a processor's name was expected"},
	{"restart", parse_restart, "no was expected"},
	{"clock", parse_clock, "cycles or instructions was expected"},
	{"interval", parse_interval, "10000 or more units of guest time were expected"},
	{"console", parse_console, "discard or stderr was expected"},
	{NULL, NULL, NULL},
};
