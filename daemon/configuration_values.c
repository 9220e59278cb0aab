/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/configuration_guest.h"
#include "daemon/configuration_values.h"
#include "umbra/guest.h"

static const uint64_t mib = 1ull << 20, tib = 1ull << 40;
static const uint64_t interval_min = 10000;
enum { DAYS_MAX = 36500, HANG_SECONDS_MAX = 3600, TIMING_PERIOD_MAX = 3600 };

int config_init(struct config *config)
{
	*config = (struct config){
		.listen_address = "127.0.0.1",
		.listen_port = 8642,
		.socket = CONFIG_DEFAULT_SOCKET,
		.costs = strdup(""),
		.state_directory = strdup(CONFIG_DEFAULT_STATE),
		.journal_size = 256 * mib,
		.journal_days = 30,
		.hang_timeout = 10,
		.interval = 10000000,
		.policy = POLICY_AUTO,
		.timing_seconds = 1,
		.timing_period = 10,
	};
	for (int i = 0; i < CONFIG_COLLECTOR_COUNT; i++)
		config->collectors[i] = true;
	return config->costs && config->state_directory ? 0 : -ENOMEM;
}

void config_free(struct config *config)
{
	for (size_t i = 0; i < config->nr_guests; i++)
		config_guest_clear(&config->guests[i]);
	for (size_t i = 0; i < config->nr_workloads; i++)
		config_workload_clear(&config->workloads[i]);
	for (size_t i = 0; i < config->nr_files; i++)
		free(config->files[i]);
	free(config->guests);
	free(config->workloads);
	free(config->files);
	free(config->costs);
	free(config->state_directory);
	*config = (struct config){0};
}

#define SWAP(a, b)                                                                                 \
	do {                                                                                       \
		__typeof__(a) before = a;                                                          \
		a = b;                                                                             \
		b = before;                                                                        \
	} while (0)

void config_take_over(struct config *config, struct config *with)
{
	SWAP(config->costs, with->costs);
	SWAP(config->hang_timeout, with->hang_timeout);
	SWAP(config->interval, with->interval);
	SWAP(config->policy, with->policy);
	for (int i = 0; i < CONFIG_COLLECTOR_COUNT; i++)
		SWAP(config->collectors[i], with->collectors[i]);
	SWAP(config->timing_seconds, with->timing_seconds);
	SWAP(config->timing_period, with->timing_period);
	SWAP(config->guests, with->guests);
	SWAP(config->nr_guests, with->nr_guests);
	SWAP(config->workloads, with->workloads);
	SWAP(config->nr_workloads, with->nr_workloads);
	SWAP(config->files, with->files);
	SWAP(config->nr_files, with->nr_files);
}

int config_workload_init(struct workload_config *workload, const char *name)
{
	*workload = (struct workload_config){.match = strdup(""), .match_image = strdup("")};
	snprintf(workload->name, sizeof(workload->name), "%s", name);
	return workload->match && workload->match_image ? 0 : -ENOMEM;
}

void config_workload_clear(struct workload_config *workload)
{
	free(workload->match);
	free(workload->match_image);
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

/* A whole number of @min to @max and nothing behind it. */
static int parse_unsigned(const char *text, uint64_t min, uint64_t max, unsigned int *ret)
{
	uint64_t value;
	char *end;

	if (parse_number(text, &value, &end) || *end || value < min || value > max)
		return -EINVAL;
	*ret = (unsigned int)value;
	return 0;
}

/* Bytes, or K, M, G or T of them. */
static int parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *ret_size)
{
	static const char suffixes[] = "KMGT";
	uint64_t size;
	char *end;

	if (parse_number(text, &size, &end))
		return -EINVAL;
	if (*end) {
		const char *suffix = strchr(suffixes, *end);
		int shift = suffix ? 10 * (int)(suffix - suffixes + 1) : 0;

		if (!suffix || end[1] || size > max >> shift)
			return -EINVAL;
		size <<= shift;
	}
	if (size < min || size > max)
		return -EINVAL;
	*ret_size = size;
	return 0;
}

static int set_text(char **to, const char *text, char *why, size_t why_size)
{
	char *copy = strdup(text);

	if (!copy) {
		snprintf(why, why_size, "out of memory");
		return -EINVAL;
	}
	free(*to);
	*to = copy;
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

static int parse_listen(const struct config_target *target, const char *value, char *why,
			size_t size)
{
	return config_parse_listen(value, target->config->listen_address,
				   &target->config->listen_port);
}

static int set_socket(char to[108], const char *value, char *why, size_t size)
{
	static const size_t room = sizeof(((struct config *)NULL)->socket);

	if (*value != '/')
		return -EINVAL;
	if (strlen(value) >= room) {
		snprintf(why, size, "longer than the %zu bytes that a socket's path may have",
			 room - 1);
		return -EINVAL;
	}
	strcpy(to, value);
	return 0;
}

static int parse_socket(const struct config_target *target, const char *value, char *why,
			size_t size)
{
	return set_socket(target->config->socket, value, why, size);
}

static int parse_collect_socket(const struct config_target *target, const char *value, char *why,
				size_t size)
{
	*target->config->collect_socket = '\0';
	target->config->has_collect_socket = true;
	return *value ? set_socket(target->config->collect_socket, value, why, size) : 0;
}

static int parse_state(const struct config_target *target, const char *value, char *why,
		       size_t size)
{
	if (*value && *value != '/')
		return -EINVAL;
	return set_text(&target->config->state_directory, value, why, size);
}

static int parse_journal_days(const struct config_target *target, const char *value, char *why,
			      size_t size)
{
	return parse_unsigned(value, 1, DAYS_MAX, &target->config->journal_days);
}

static int parse_journal_size(const struct config_target *target, const char *value, char *why,
			      size_t size)
{
	return parse_size(value, mib, tib, &target->config->journal_size);
}

static int parse_hang_timeout(const struct config_target *target, const char *value, char *why,
			      size_t size)
{
	return parse_unsigned(value, 1, HANG_SECONDS_MAX, &target->config->hang_timeout);
}

/* A path that is not absolute starts where the configuration file is. */
static int set_path(const struct config_target *target, char **to, const char *value, char *why,
		    size_t size)
{
	const char *slash = strrchr(target->file, '/');
	char path[CONFIG_PATH_MAX];
	int len;

	if (!*value)
		return -EINVAL;
	if (*value == '/' || !slash)
		len = snprintf(path, sizeof(path), "%s", value);
	else
		len = snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - target->file),
			       target->file, value);
	if ((size_t)len >= sizeof(path)) {
		snprintf(why, size, "longer than %zu bytes", sizeof(path) - 1);
		return -EINVAL;
	}
	return set_text(to, path, why, size);
}

static int parse_costs(const struct config_target *target, const char *value, char *why,
		       size_t size)
{
	return set_path(target, &target->config->costs, value, why, size);
}

static int parse_image(const struct config_target *target, const char *value, char *why,
		       size_t size)
{
	return set_path(target, &target->guest->image, value, why, size);
}

static int parse_engine(const struct config_target *target, const char *value, char *why,
			size_t size)
{
	return umbra_engine_parse(value, &target->guest->engine);
}

/* Of the section that has one: a guest's or a rule's. */
static struct config_choice *choice_of(const struct config_target *target)
{
	return target->guest ? &target->guest->choice : &target->workload->choice;
}

static int parse_mode(const struct config_target *target, const char *value, char *why, size_t size)
{
	struct config_choice *choice = choice_of(target);
	enum umbra_mode mode = UMBRA_MODE_EPT;
	bool is_auto = !strcmp(value, "auto");

	if (!is_auto && umbra_mode_parse(value, &mode))
		return -EINVAL;
	choice->has_mode = true;
	choice->mode = mode;
	choice->implied = is_auto ? POLICY_AUTO : POLICY_PINNED;
	return 0;
}

/* In [policy] it is the default of all guests. */
static int parse_policy(const struct config_target *target, const char *value, char *why,
			size_t size)
{
	struct config_choice *choice;

	if (!target->guest && !target->workload)
		return policy_kind_parse(value, &target->config->policy);
	choice = choice_of(target);
	if (policy_kind_parse(value, &choice->policy))
		return -EINVAL;
	choice->has_policy = true;
	return 0;
}

static int parse_memory(const struct config_target *target, const char *value, char *why,
			size_t size)
{
	uint64_t memory;

	if (parse_size(value, mib, 2048 * mib, &memory) || memory % 4096)
		return -EINVAL;
	target->guest->memory = memory;
	return 0;
}

static int parse_cpus(const struct config_target *target, const char *value, char *why, size_t size)
{
	return parse_unsigned(value, 1, UMBRA_MAX_CPUS, &target->guest->cpus);
}

static int parse_append(const struct config_target *target, const char *value, char *why,
			size_t size)
{
	char **append = &target->guest->append;
	char text[CONFIG_APPEND_MAX + 1];
	int len;

	/* A line is too short for many a kernel's command line. */
	len = snprintf(text, sizeof(text), "%s%s%s", target->again ? *append : "",
		       target->again ? " " : "", value);
	if ((size_t)len >= sizeof(text)) {
		snprintf(why, size, "all in all at most %d bytes were expected", CONFIG_APPEND_MAX);
		return -EINVAL;
	}
	return set_text(append, text, why, size);
}

static int parse_initrd(const struct config_target *target, const char *value, char *why,
			size_t size)
{
	return set_path(target, &target->guest->initrd, value, why, size);
}

static int parse_processor(const struct config_target *target, const char *value, char *why,
			   size_t size)
{
	struct umbra_error error;
	int code = umbra_processor_parse(value, &target->guest->processor, &error);

	target->guest->has_processor = true;
	if (code)
		snprintf(why, size, "%s", error.text);
	return code;
}

static int parse_restart(const struct config_target *target, const char *value, char *why,
			 size_t size)
{
	if (strcmp(value, "no") && strcmp(value, "always"))
		return -EINVAL;
	target->guest->restart = !strcmp(value, "always");
	return 0;
}

static int parse_clock(const struct config_target *target, const char *value, char *why,
		       size_t size)
{
	return umbra_clock_parse(value, &target->guest->clock);
}

static int parse_interval(const struct config_target *target, const char *value, char *why,
			  size_t size)
{
	uint64_t interval;
	char *end;

	if (parse_number(value, &interval, &end) || *end || interval < interval_min)
		return -EINVAL;
	*(target->guest ? &target->guest->interval : &target->config->interval) = interval;
	return 0;
}

static int parse_console(const struct config_target *target, const char *value, char *why,
			 size_t size)
{
	if (strcmp(value, "discard") && strcmp(value, "stderr"))
		return -EINVAL;
	target->guest->console = !strcmp(value, "stderr");
	return 0;
}

static int parse_match(const struct config_target *target, const char *value, char *why,
		       size_t size)
{
	return *value ? set_text(&target->workload->match, value, why, size) : -EINVAL;
}

static int parse_match_image(const struct config_target *target, const char *value, char *why,
			     size_t size)
{
	return *value ? set_text(&target->workload->match_image, value, why, size) : -EINVAL;
}

static int parse_enabled(const struct config_target *target, const char *value, char *why,
			 size_t size)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return -EINVAL;
	*target->collector = !strcmp(value, "yes");
	return 0;
}

/* "SECONDS/PERIOD" */
static int parse_timing(const struct config_target *target, const char *value, char *why,
			size_t size)
{
	struct config *config = target->config;
	uint64_t seconds, period;
	char *end;

	if (target->collector != &config->collectors[CONFIG_COLLECTOR_KVM_EXITS]) {
		snprintf(why, size, "a key of [collector kvm_exits] alone");
		return -EINVAL;
	}
	if (parse_number(value, &seconds, &end) || *end != '/' ||
	    parse_number(end + 1, &period, &end) || *end || seconds > period || !period ||
	    period > TIMING_PERIOD_MAX)
		return -EINVAL;
	config->timing_seconds = seconds;
	config->timing_period = period;
	return 0;
}

static const char *const collector_names[] = {
	[CONFIG_COLLECTOR_SOFT] = "soft",
	[CONFIG_COLLECTOR_DISCOVERY] = "discovery",
	[CONFIG_COLLECTOR_KVM] = "kvm",
	[CONFIG_COLLECTOR_KVM_EXITS] = "kvm_exits",
	[CONFIG_COLLECTOR_PERF_EVENT] = "perf_event",
};

const char *config_collector_name(enum config_collector collector)
{
	return collector_names[collector];
}

int config_parse_collector(const char *name, enum config_collector *ret, char *why, size_t size)
{
	for (size_t i = 0; i < CONFIG_COLLECTOR_COUNT; i++) {
		if (!strcmp(name, collector_names[i])) {
			*ret = i;
			return 0;
		}
	}
	snprintf(why, size,
		 "there is no such collector; soft, discovery, kvm, kvm_exits or perf_event was "
		 "expected");
	return -EINVAL;
}

#define INTERVAL                                                                                   \
	{                                                                                          \
		"interval", parse_interval, "10000 or more units of guest time were expected"      \
	}
#define MODE                                                                                       \
	{                                                                                          \
		"mode", parse_mode, "bare, brute, shadow, ept or auto was expected"                \
	}
#define POLICY                                                                                     \
	{                                                                                          \
		"policy", parse_policy, "auto, advise or pinned was expected"                      \
	}
#define END                                                                                        \
	{                                                                                          \
		NULL, NULL, NULL                                                                   \
	}

const struct config_key config_umbrad_keys[] = {
	{"listen", parse_listen, "ADDRESS:PORT with a numeric address was expected"},
	{"socket", parse_socket, "an absolute path was expected"},
	{"collect_socket", parse_collect_socket, "an absolute path, or nothing, was expected"},
	{"costs", parse_costs, "the path of a file of costs was expected"},
	{"state", parse_state, "an absolute path, or nothing, was expected"},
	{"journal_days", parse_journal_days, "1 to 36500 days were expected"},
	{"journal_size", parse_journal_size, "1M to 1T was expected"},
	{"hang_timeout", parse_hang_timeout, "1 to 3600 seconds were expected"},
	END,
};

const struct config_key config_policy_keys[] = {INTERVAL, POLICY, END};

const struct config_key config_guest_keys[] = {
	{"image", parse_image, "the path of an image was expected"},
	{"engine", parse_engine, "soft or kvm was expected"},
	MODE,
	POLICY,
	{"memory", parse_memory, "1M to 2G, a multiple of 4096 bytes, was expected"},
	{"cpus", parse_cpus, "1 to 8 was expected"},
	{"append", parse_append, "a command line was expected"},
	{"initrd", parse_initrd, "the path of an initrd was expected"},
	{"processor", parse_processor, "a processor's name was expected"},
	{"restart", parse_restart, "no or always was expected"},
	{"clock", parse_clock, "cycles or instructions was expected"},
	INTERVAL,
	{"console", parse_console, "discard or stderr was expected"},
	END,
};

const struct config_key config_workload_keys[] = {
	{"match", parse_match, "a pattern for guests' names was expected"},
	{"match_image", parse_match_image, "a pattern for the names of images' files was expected"},
	MODE,
	POLICY,
	END,
};

const struct config_key config_collector_keys[] = {
	{"enabled", parse_enabled, "yes or no was expected"},
	{"timing", parse_timing, "SECONDS/PERIOD, 0/1 to 3600/3600, was expected"},
	END,
};
