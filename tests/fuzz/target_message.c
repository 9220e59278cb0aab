/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libFuzzer target: any bytes as what a compromised worker sends and leaves in the shared memory.
 * umbrad takes it or refuses it, and what it serves afterwards is JSON. An input is a row of
 * packets: a good message of some type, or no message at all, with bytes of the input's choice
 * laid over it at some place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/configuration_guest.h"
#include "daemon/journal.h"
#include "daemon/message.h"
#include "daemon/sampler.h"
#include "daemon/shared.h"
#include "daemon/watch.h"
#include "daemon/wishes.h"
#include "target.h"
#include "target_json.h"
#include "web/text.h"
#include "web/view.h"

/* Followed by so many bytes to lay over. */
struct packet {
	uint8_t type; /* of message; beyond them: the shared memory instead of a message */
	uint8_t flags;
	uint16_t where; /* the first byte to lay over */
	uint8_t nr_bytes, spare;
};

enum {
	FLAG_ANSWER = 1, /* it has the number of a wish */
	FLAG_SHORT = 2,  /* it ends behind the bytes that are laid over */
	FLAG_TWICE = 4,
};

enum { WISHES_ASKED = 8 };

static struct registry registry;
static struct wishes *wishes;
static struct guest *guest;
static struct shared_counters *shared;
static int pair[2];

static void start(void)
{
	const struct journal_config journal_config = {.bytes = 1 << 20, .days = 1};
	struct complaints complaints = {0};
	struct guest_config config;
	struct journal *journal;
	int fd;

	if (journal_create(&journal_config, &journal, &fd) || config_guest_init(&config, "fuzz") ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair))
		abort();
	config.costs = config_costs_create("skylake", "", &complaints);
	registry_init(&registry, journal);
	wishes = wishes_create(&fd);
	shared = shared_map(shared_create("fuzz"), true);
	if (!config.costs || !wishes || !shared || registry_add(&registry, &config, &guest))
		abort();
	config_guest_clear(&config);
}

/* What a worker in order would send. */
static size_t make_message(struct message *message, const struct packet *packet)
{
	memset(message, 0, sizeof(*message));
	message->header = (struct message_header){
		.magic = MESSAGE_MAGIC,
		.version = MESSAGE_VERSION,
		.type = packet->type,
		.size = message_size(packet->type),
	};
	message->request = packet->flags & FLAG_ANSWER ? 1 : 0;
	switch (packet->type) {
	case MESSAGE_SWITCH:
		message->switched.number = 1;
		message->switched.record.to = UMBRA_MODE_SHADOW;
		strcpy(message->switched.reason, "policy");
		break;
	case MESSAGE_CHANGED:
		message->changed.switched = 1;
		message->changed.made.number = 1;
		break;
	case MESSAGE_DECISION:
		message->decision.record.id = 1;
		strcpy(message->decision.reason, "cheaper");
		break;
	case MESSAGE_ENDED: message->ended.end.reason = UMBRA_END_HALTED; break;
	default: break;
	}
	return message->header.size ? message->header.size : sizeof(*message);
}

/* As umbrad does (daemon/guests.c). */
static void take(struct message *message)
{
	int code = message_check(message);

	if (!code && message->request)
		code = wishes_answered(wishes, guest, message);
	else if (!code)
		code = registry_take(guest, message);
	if (code)
		registry_fail(guest, "its worker sent something that is no message: %s",
			      strerror(-code));
}

static void send_and_take(const struct packet *packet, const uint8_t *bytes, size_t nr_bytes)
{
	struct message message;
	size_t size = make_message(&message, packet);
	size_t where = packet->where % sizeof(message);

	if (nr_bytes > sizeof(message) - where)
		nr_bytes = sizeof(message) - where;
	memcpy((char *)&message + where, bytes, nr_bytes);
	if (packet->flags & FLAG_SHORT)
		size = where + nr_bytes;
	for (int i = packet->flags & FLAG_TWICE ? 2 : 1; size && i; i--) {
		if (send(pair[1], &message, size, MSG_NOSIGNAL) < 0)
			abort();
		memset(&message, 0xa5, sizeof(message));
		if (message_receive(pair[0], &message, NULL) == 1)
			take(&message);
	}
}

static void check_what_is_served(void)
{
	static const struct observed nobody;
	static const struct kvm_host no_kvm = {.mode = UMBRA_MODE_COUNT};
	const struct sampler_source source = {&registry, &nobody, &no_kvm, true};
	struct snapshot *snapshot = sampler_take(&source);
	struct worker_state state;
	struct watch watch = {0};
	struct text text = {0};
	char last[200];

	if (!snapshot)
		abort();
	web_write_guest(&text, &snapshot->guests[0], true);
	target_check_json(&text);
	snapshot_unref(snapshot);
	json_write_open(&text, '[');
	if (journal_read_decisions(registry.journal, &text, "fuzz", 10, 0) ||
	    journal_read_switches(registry.journal, &text, "fuzz", 10))
		abort();
	json_write_close(&text, ']');
	target_check_json(&text);
	shared_read_state(shared, &state);
	watch_tick(&watch, &state, 1, 10);
	watch_describe(shared, last, sizeof(last));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet packet;
	size_t where;

	if (!guest)
		start();
	guest->shared = NULL;
	registry_renew(guest, NULL);
	journal_begin(registry.journal, guest->recorded);
	guest->nr_switches = 0;
	guest->next_request = 1 + WISHES_ASKED;
	memset(shared, 0, sizeof(*shared));
	shared_begin(shared);
	guest->shared = shared;
	while (size >= sizeof(packet)) {
		memcpy(&packet, data, sizeof(packet));
		data += sizeof(packet);
		size -= sizeof(packet);
		if (packet.nr_bytes > size)
			packet.nr_bytes = size;
		where = packet.where % (sizeof(*shared) - UINT8_MAX);
		if (packet.type > MESSAGE_TYPE_COUNT)
			memcpy((char *)shared + where, data, packet.nr_bytes);
		else
			send_and_take(&packet, data, packet.nr_bytes);
		data += packet.nr_bytes;
		size -= packet.nr_bytes;
	}
	check_what_is_served();
	return 0;
}
