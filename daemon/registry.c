/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/configuration_guest.h"
#include "daemon/registry.h"

void registry_init(struct registry *registry)
{
	*registry = (struct registry){0};
}

static void destroy(struct guest *guest)
{
	shared_unmap(guest->shared);
	free(guest->decisions);
	free(guest->switches);
	config_guest_free(guest->config);
	free(guest);
}

void registry_free(struct registry *registry)
{
	registry_sweep(registry);
	for (size_t i = 0; i < registry->nr_guests; i++)
		destroy(registry->guests[i]);
	free(registry->guests);
	registry_init(registry);
}

static struct guest *create(const struct guest_config *config)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		return NULL;
	guest->config = config_guest_copy(config);
	guest->decisions = calloc(REGISTRY_DECISIONS_KEPT, sizeof(*guest->decisions));
	guest->switches = calloc(REGISTRY_SWITCHES_KEPT, sizeof(*guest->switches));
	if (!guest->config || !guest->decisions || !guest->switches) {
		destroy(guest);
		return NULL;
	}
	guest->state = GUEST_STARTING;
	guest->mode = config->mode;
	guest->policy = config->policy;
	guest->fd = -1;
	guest->next_request = 1;
	return guest;
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
	guest = create(config);
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

struct guest *registry_find(struct registry *registry, const char *id)
{
	for (size_t i = 0; i < registry->nr_guests; i++) {
		if (!strcmp(registry->guests[i]->config->name, id))
			return registry->guests[i];
	}
	return NULL;
}

struct guest *registry_find_pid(struct registry *registry, pid_t pid)
{
	for (size_t i = 0; i < registry->nr_guests; i++) {
		if (registry->guests[i]->pid == pid)
			return registry->guests[i];
	}
	return NULL;
}

size_t registry_kept(uint64_t nr_records, size_t capacity)
{
	return nr_records < capacity ? nr_records : capacity;
}

const struct policy_decision *registry_decision(const struct guest *guest, size_t i)
{
	size_t kept = registry_kept(guest->nr_decisions, REGISTRY_DECISIONS_KEPT);

	return &guest->decisions[(guest->nr_decisions - kept + i) % REGISTRY_DECISIONS_KEPT];
}

const struct kept_switch *registry_switch(const struct guest *guest, size_t i)
{
	size_t kept = registry_kept(guest->nr_switches, REGISTRY_SWITCHES_KEPT);

	return &guest->switches[(guest->nr_switches - kept + i) % REGISTRY_SWITCHES_KEPT];
}

/* The kept decision with this id, or room for a new one. */
static struct policy_decision *place_decision(struct guest *guest, uint64_t id)
{
	size_t kept = registry_kept(guest->nr_decisions, REGISTRY_DECISIONS_KEPT);

	/* What is amended is among the latest. */
	for (size_t i = kept; i-- > 0;) {
		const struct policy_decision *found = registry_decision(guest, i);

		if (found->id == id)
			return (struct policy_decision *)found;
		if (found->id < id)
			break;
	}
	return &guest->decisions[guest->nr_decisions++ % REGISTRY_DECISIONS_KEPT];
}

static struct kept_switch *place_switch(struct guest *guest, uint64_t number)
{
	size_t kept = registry_kept(guest->nr_switches, REGISTRY_SWITCHES_KEPT);

	for (size_t i = kept; i-- > 0;) {
		const struct kept_switch *found = registry_switch(guest, i);

		if (found->number == number)
			return (struct kept_switch *)found;
		if (found->number < number)
			break;
	}
	return &guest->switches[guest->nr_switches++ % REGISTRY_SWITCHES_KEPT];
}

static void take_decision(struct guest *guest, const struct message_decision *message)
{
	/* One that was amended after it had been dropped. */
	if (guest->nr_decisions && message->record.id < registry_decision(guest, 0)->id)
		return;
	*place_decision(guest, message->record.id) = message->record;
}

void registry_take_switch(struct guest *guest, const struct message_switch *message)
{
	struct kept_switch *kept;

	if (guest->nr_switches && message->number < registry_switch(guest, 0)->number)
		return;
	kept = place_switch(guest, message->number);
	kept->number = message->number;
	kept->record.record = message->record;
	kept->record.reason = message_switch_reason(message->reason);
	guest->mode = registry_switch(guest,
				      registry_kept(guest->nr_switches, REGISTRY_SWITCHES_KEPT) - 1)
			      ->record.record.to;
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

void registry_take(struct guest *guest, const struct message *message)
{
	switch (message->header.type) {
	case MESSAGE_RUNNING:
		if (guest->state == GUEST_STARTING)
			guest->state = GUEST_RUNNING;
		break;
	case MESSAGE_FAILED: registry_fail(guest, "%s", message->failed.text); break;
	case MESSAGE_SWITCH: registry_take_switch(guest, &message->switched); break;
	case MESSAGE_DECISION: take_decision(guest, &message->decision); break;
	case MESSAGE_ENDED:
		if (guest->state == GUEST_RUNNING)
			take_end(guest, &message->ended);
		break;
	default: break;
	}
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
