/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be told only when everything was read: which rule a guest follows, what is missing. */
#include "config.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "collectors/kvm_host.h"
#include "daemon/configuration_guest.h"
#include "daemon/privileges.h"
#include "umbra/error.h"
#include "umbra/guest.h"

enum { CONFIG_PROCESSORS_MAX = 64 }; /* more than there are */

/* Complains about [@kind @name], which begins at @place. */
static void fail(const struct config *config, struct config_place place, const char *kind,
		 const char *name, struct complaints *complaints, const char *why)
{
	complain(complaints, -EINVAL, "%s: line %u, [%s %s] %s", config->files[place.file],
		 place.line, kind, name, why);
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool matches(const char *pattern, const char *text)
{
	return !*pattern || !fnmatch(pattern, text, 0);
}

static const struct workload_config *find_rule(const struct config *config,
					       const struct guest_config *guest)
{
	for (size_t i = 0; i < config->nr_workloads; i++) {
		const struct workload_config *workload = &config->workloads[i];

		if (matches(workload->match, guest->name) &&
		    matches(workload->match_image, file_name(guest->image)))
			return workload;
	}
	return NULL;
}

/*
 * The mode of a guest of KVM's is the host's: rules have no say in it. What the guest's own key
 * asks for is found out when it starts, for the host may be another one then.
 */
static void choose_for_kvm(const struct config *config, struct guest_config *guest,
			   const struct kvm_host *host)
{
	const struct config_choice *choice = &guest->choice;

	guest->mode = host->mode < UMBRA_MODE_COUNT ? host->mode : UMBRA_MODE_SHADOW;
	if (choice->has_mode)
		guest->mode = choice->mode;
	if (choice->has_policy)
		guest->policy = choice->policy;
	else if (choice->has_mode)
		guest->policy = choice->implied;
	else
		guest->policy = config->policy == POLICY_AUTO ? POLICY_ADVISE : config->policy;
}

/* A mode of the guest's own is all that counts then; a policy of its own wins over a rule's. */
static void choose(const struct config *config, struct guest_config *guest)
{
	const struct workload_config *rule = find_rule(config, guest);
	struct config_choice choice = guest->choice;

	if (rule && !choice.has_mode) {
		choice = rule->choice;
		if (guest->choice.has_policy) {
			choice.has_policy = true;
			choice.policy = guest->choice.policy;
		}
	}
	guest->by_rule = rule && !guest->choice.has_mode && !guest->choice.has_policy;
	guest->mode = choice.has_mode ? choice.mode : UMBRA_MODE_EPT;
	if (choice.has_policy)
		guest->policy = choice.policy;
	else
		guest->policy = choice.has_mode ? choice.implied : config->policy;
}

/* What is wrong with the two keys of one section, or NULL. */
static const char *check_choice(const struct config_choice *choice)
{
	if (choice->has_mode && choice->has_policy && choice->implied == POLICY_AUTO &&
	    choice->policy != POLICY_AUTO)
		return "policy: mode = auto means policy = auto; name the mode to start in instead";
	if (choice->has_mode && choice->has_policy && choice->mode == UMBRA_MODE_BARE &&
	    choice->policy != POLICY_PINNED)
		return "policy: a bare guest has no VMM to switch; pinned was expected";
	return NULL;
}

/* What a guest of KVM's cannot have, or NULL. */
static const char *check_kvm(const struct guest_config *guest)
{
	if (guest->engine != UMBRA_ENGINE_KVM)
		return NULL;
	if (guest->policy == POLICY_AUTO)
		return "policy: with engine = kvm the mode is that of the host's KVM; advise or "
		       "pinned was expected";
	if (guest->mode == UMBRA_MODE_BARE || guest->mode == UMBRA_MODE_BRUTE)
		return "mode: with engine = kvm it is shadow or ept, whichever the host's KVM has";
	if (guest->clock != UMBRA_CLOCK_CYCLES)
		return "clock: with engine = kvm guest time is wall time";
	if (guest->has_processor)
		return "processor: with engine = kvm it is the host's";
	if (guest->interval)
		return "interval: with engine = kvm there are no decisions";
	return NULL;
}

static void check_guest(const struct config *config, struct guest_config *guest,
			struct complaints *complaints)
{
	const char *why = check_choice(&guest->choice);

	if (!why)
		why = check_kvm(guest);

	if (!why && !*guest->image)
		why = "image: missing; the path of an image was expected";
	if (!why && guest->mode == UMBRA_MODE_BARE && guest->policy != POLICY_PINNED)
		why = "policy: its workload starts it bare, so pinned was expected";
	if (why)
		fail(config, guest->place, "guest", guest->name, complaints, why);
}

static void check_workload(const struct config *config, const struct workload_config *workload,
			   struct complaints *complaints)
{
	const char *why = check_choice(&workload->choice);

	if (!why && !*workload->match && !*workload->match_image)
		why = "match: missing; match or match_image was expected";
	if (!why && !workload->choice.has_mode && !workload->choice.has_policy)
		why = "mode: missing; mode or policy was expected";
	if (why)
		fail(config, workload->place, "workload", workload->name, complaints, why);
}

/* Guests of one processor share one table. 0, or the code of the first complaint. */
static int read_costs(struct config *config, struct complaints *complaints)
{
	struct config_costs *tables[CONFIG_PROCESSORS_MAX] = {NULL};
	int code = 0;

	for (size_t i = 0; i < config->nr_guests && !code; i++) {
		struct guest_config *guest = &config->guests[i];
		struct config_costs **table = &tables[guest->processor];

		if (!*table)
			*table = config_costs_create(umbra_processor_name(guest->processor),
						     config->costs, complaints);
		if (!*table)
			code = complaints->code;
		guest->costs = config_costs_ref(*table);
	}
	for (size_t i = 0; i < CONFIG_PROCESSORS_MAX; i++)
		config_costs_unref(tables[i]);
	return code;
}

int config_finish(struct config *config, struct complaints *complaints)
{
	size_t before = complaints->nr;
	struct kvm_host host;
	int code, costs;

	kvm_host_read("/sys", &host);

	for (size_t i = 0; i < config->nr_workloads; i++) {
		if (!config->workloads[i].wrong)
			check_workload(config, &config->workloads[i], complaints);
	}
	for (size_t i = 0; i < config->nr_guests; i++) {
		if (config->guests[i].engine == UMBRA_ENGINE_KVM)
			choose_for_kvm(config, &config->guests[i], &host);
		else
			choose(config, &config->guests[i]);
		if (!config->guests[i].wrong)
			check_guest(config, &config->guests[i], complaints);
		if (!config->guests[i].interval)
			config->guests[i].interval = config->interval;
	}
	code = complaints->nr > before ? -EINVAL : 0;
	costs = read_costs(config, complaints);
	return code ? code : costs;
}

static void check_image(const struct config *config, const struct guest_config *guest,
			const char *key, const char *path, struct complaints *warnings)
{
	char why[CONFIG_PATH_MAX + sizeof(((struct umbra_error *)NULL)->text) + 20];
	struct umbra_error error;

	if (!*path || !access(path, R_OK))
		return;
	umbra_error_set(&error, -errno, path, NULL, "%s", strerror(errno));
	privileges_explain(&error);
	snprintf(why, sizeof(why), "%s: %s: %s", key, path, error.text);
	fail(config, guest->place, "guest", guest->name, warnings, why);
}

void config_check_images(const struct config *config, struct complaints *warnings)
{
	for (size_t i = 0; i < config->nr_guests; i++) {
		const struct guest_config *guest = &config->guests[i];

		check_image(config, guest, "image", guest->image, warnings);
		check_image(config, guest, "initrd", guest->initrd, warnings);
	}
}
