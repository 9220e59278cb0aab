/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/configuration_guest.h"
#include "daemon/registry.h"

void registry_init(struct registry *registry, struct journal *journal)
{
	*registry = (struct registry){.journal = journal};
}

static void destroy(struct guest *guest)
{
	shared_unmap(guest->shared);
	config_guest_free(guest->config);
	config_guest_free(guest->next);
	free(guest);
}

void registry_free(struct registry *registry)
{
	registry_sweep(registry);
	for (size_t i = 0; i < registry->nr_guests; i++)
		destroy(registry->guests[i]);
	free(registry->guests);
	if (registry->control) {
		control_unmap(registry->control);
		close(registry->control_fd);
	}
	registry_init(registry, NULL);
}

static enum policy_source configured_source(const struct guest_config *config)
{
	return config->by_rule ? POLICY_SOURCE_WORKLOAD : POLICY_SOURCE_CONFIGURATION;
}

void registry_choose(struct guest *guest)
{
	const struct guest_config *config = guest->config;
	struct journal_setting set;

	guest->mode = config->mode;
	guest->policy = config->policy;
	guest->policy_source = configured_source(config);
	if (!journal_setting(guest->journal, guest->recorded, &set))
		return;
	/* Neither to bare nor from it is there a way that an operator could have gone. */
	if (set.config_mode != config->mode || set.config_policy != config->policy ||
	    (set.mode == UMBRA_MODE_BARE) != (config->mode == UMBRA_MODE_BARE)) {
		journal_set(guest->journal, guest->recorded, NULL);
		return;
	}
	guest->mode = set.mode;
	guest->policy = set.policy;
	guest->policy_source = POLICY_SOURCE_OPERATOR;
}

uint64_t registry_keep(struct guest *guest)
{
	const struct journal_setting set = {
		.mode = guest->mode,
		.policy = guest->policy,
		.config_mode = guest->config->mode,
		.config_policy = guest->config->policy,
	};

	guest->policy_source = POLICY_SOURCE_OPERATOR;
	return journal_set(guest->journal, guest->recorded, &set);
}

uint64_t registry_forget(struct guest *guest)
{
	guest->policy_source = configured_source(guest->config);
	return journal_set(guest->journal, guest->recorded, NULL);
}

void registry_reconfigure(struct guest *guest, struct guest_config *config)
{
	config_guest_free(guest->config);
	guest->config = config;
	if (guest->policy_source != POLICY_SOURCE_OPERATOR)
		guest->policy_source = configured_source(config);
}

uint64_t registry_freeze(struct registry *registry, bool frozen)
{
	if (registry->control)
		control_set_frozen(registry->control, frozen);
	return journal_set_frozen(registry->journal, frozen);
}

static struct guest *create(struct journal *journal, const struct guest_config *config)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		return NULL;
	guest->config = config_guest_copy(config);
	guest->journal = journal;
	guest->recorded = journal_guest(journal, config->name);
	if (!guest->config || !guest->recorded) {
		destroy(guest);
		return NULL;
	}
	guest->fd = -1;
	guest->next_request = 1;
	registry_renew(guest, NULL);
	return guest;
}

void registry_renew(struct guest *guest, struct guest_config *config)
{
	if (config)
		registry_reconfigure(guest, config);
	guest->state = GUEST_STARTING;
	registry_choose(guest);
	shared_unmap(guest->shared);
	guest->shared = NULL;
	guest->has_end = false;
	guest->end = (struct umbra_end){0};
	guest->cpu_mode[0] = '\0';
	guest->has_registers = false;
	guest->memory_hash[0] = '\0';
	guest->nr_switches = 0;
	guest->last_change = (struct policy_decision){0};
	guest->behind = false;
}

int registry_add(struct registry *registry, const struct guest_config *config,
		 struct guest **ret_guest)
{
	struct guest **guests =
		reallocarray(registry->guests, registry->nr_guests + 1, sizeof(struct guest *));
	struct guest *guest;

	if (!guests)
		return -ENOMEM;
	registry->guests = guests;
	guest = create(registry->journal, config);
	if (!guest)
		return -ENOMEM;
	guests[registry->nr_guests++] = guest;
	if (ret_guest)
		*ret_guest = guest;
	return 0;
}

void registry_remove(struct registry *registry, struct guest *guest)
{
	size_t i = 0;

	while (registry->guests[i] != guest)
		i++;
	registry->nr_guests--;
	memmove(&registry->guests[i], &registry->guests[i + 1],
		(registry->nr_guests - i) * sizeof(struct guest *));
	guest->next_removed = registry->removed;
	registry->removed = guest;
}

void registry_sweep(struct registry *registry)
{
	while (registry->removed) {
		struct guest *guest = registry->removed;

		registry->removed = guest->next_removed;
		destroy(guest);
	}
}

struct guest *registry_find(const struct registry *registry, const char *id)
{
	for (size_t i = 0; i < registry->nr_guests; i++) {
		if (!strcmp(registry->guests[i]->config->name, id))
			return registry->guests[i];
	}
	return NULL;
}

struct guest *registry_find_pid(const struct registry *registry, pid_t pid)
{
	for (size_t i = 0; i < registry->nr_guests; i++) {
		if (registry->guests[i]->pid == pid)
			return registry->guests[i];
	}
	return NULL;
}

int registry_take_switch(struct guest *guest, const struct message_switch *message)
{
	const struct switch_record record = {
		.record = message->record,
		.reason = message_switch_reason(message->reason),
	};
	int code = journal_switch(guest->journal, guest->recorded, message->number, &record);

	/* An earlier one may be amended late; the last one says which mode is on. */
	if (code || message->number < guest->nr_switches)
		return code;
	guest->nr_switches = message->number;
	guest->last_switch = record;
	guest->mode = record.record.to;
	return 0;
}

static int take_decision(struct guest *guest, const struct policy_decision *decision)
{
	int code = journal_decision(guest->journal, guest->recorded, decision);

	/* It is told again when it is known what came of it. */
	if (!code && decision->action != POLICY_STAY && decision->id >= guest->last_change.id)
		guest->last_change = *decision;
	return code;
}

static void take_end(struct guest *guest, const struct message_ended *message)
{
	guest->state = GUEST_ENDED;
	guest->has_end = true;
	guest->end = message->end;
	memcpy(guest->cpu_mode, message->cpu_mode, sizeof(guest->cpu_mode));
	guest->end.cpu_mode = NULL;
	guest->has_registers = true;
	memcpy(guest->registers, message->registers, sizeof(guest->registers));
	memcpy(guest->memory_hash, message->memory_hash, sizeof(guest->memory_hash));
}

int registry_take(struct guest *guest, const struct message *message)
{
	switch (message->header.type) {
	case MESSAGE_RUNNING:
		if (guest->state == GUEST_STARTING)
			guest->state = GUEST_RUNNING;
		break;
	case MESSAGE_FAILED: registry_fail(guest, "%s", message->failed.text); break;
	case MESSAGE_SWITCH: return registry_take_switch(guest, &message->switched);
	case MESSAGE_DECISION: return take_decision(guest, &message->decision.record);
	case MESSAGE_ENDED:
		if (guest->state == GUEST_RUNNING)
			take_end(guest, &message->ended);
		break;
	default: break;
	}
	return 0;
}

void registry_fail(struct guest *guest, const char *format, ...)
{
	va_list arguments;

	if (guest->state == GUEST_ENDED || guest->state == GUEST_FAILED)
		return;
	guest->state = GUEST_FAILED;
	guest->has_end = true;
	guest->end = (struct umbra_end){.reason = UMBRA_END_ERROR};
	va_start(arguments, format);
	vsnprintf(guest->end.text, sizeof(guest->end.text), format, arguments);
	va_end(arguments);
}
