/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libFuzzer target: any bytes as umbrad's configuration, then as a reload of what came before.
 * Each is refused with words that a terminal can show, or every value in it is one that umbrad can
 * work with. seeds.py writes what the fuzzer begins with.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/configuration_guest.h"
#include "daemon/configuration_values.h"
#include "target.h"
#include "umbra/guest.h"

static void require(bool good)
{
	if (!good)
		abort();
}

/* What a message may have in it: no control characters but tabs. */
static void check_complaints(const struct complaints *complaints, int code)
{
	require(complaints->nr && complaints->nr <= COMPLAINTS_MAX && complaints->code == code);
	for (size_t i = 0; i < complaints->nr; i++) {
		require(*complaints->text[i]);
		for (const char *c = complaints->text[i]; *c; c++)
			require(*c < 0 || *c >= ' ' || *c == '\t');
	}
}

static void check_choice(enum umbra_mode mode, enum policy_kind policy)
{
	require((unsigned int)mode < UMBRA_MODE_COUNT && (unsigned int)policy < POLICY_KIND_COUNT);
	require(mode != UMBRA_MODE_BARE || policy == POLICY_PINNED);
}

static void check_guest(const struct guest_config *guest)
{
	struct guest_config *copy = config_guest_copy(guest);

	require(copy && !config_guest_difference(guest, copy));
	config_guest_free(copy);
	require(*guest->name && strlen(guest->name) <= CONFIG_NAME_MAX &&
		strspn(guest->name, CONFIG_NAME_CHARACTERS) == strlen(guest->name));
	require(*guest->image && strlen(guest->image) < CONFIG_PATH_MAX);
	require(guest->memory >= 1 << 20 && guest->memory <= 1u << 31 && !(guest->memory % 4096));
	require(guest->cpus && guest->cpus <= UMBRA_MAX_CPUS);
	require(umbra_processor_name(guest->processor) && guest->costs);
	require((unsigned int)guest->clock < UMBRA_CLOCK_COUNT && guest->interval >= 10000);
	check_choice(guest->mode, guest->policy);
}

static void check_config(const struct config *config)
{
	require(config->nr_guests <= CONFIG_GUESTS_MAX);
	require(config->nr_workloads <= CONFIG_WORKLOADS_MAX);
	require(*config->socket == '/');
	require(!*config->state_directory || *config->state_directory == '/');
	require(config->journal_days && config->journal_size >= 1 << 20 && config->hang_timeout);
	require(config->interval >= 10000 && (unsigned int)config->policy < POLICY_KIND_COUNT);
	for (size_t i = 0; i < config->nr_guests; i++) {
		check_guest(&config->guests[i]);
		for (size_t j = 0; j < i; j++)
			require(strcmp(config->guests[i].name, config->guests[j].name));
	}
}

/* The file of the bytes; the same one each time. */
static const char *write_bytes(const uint8_t *data, size_t size)
{
	static char path[40];
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("configuration", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	require(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
	return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config running;
	struct config_source source = {.file = write_bytes(data, size)};
	struct complaints complaints = {0};
	struct config config;
	int code;

	if (!running.costs)
		require(!config_init(&running));
	code = config_load(&source, &config, &complaints);
	if (code) {
		check_complaints(&complaints, code);
		complaints_free(&complaints);
		return 0;
	}
	require(!complaints.nr);
	check_config(&config);
	config_take_over(&running, &config);
	config_free(&config);
	check_config(&running);
	return 0;
}
