/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/message.h"
#include "daemon/untrusted.h"

static const size_t body_sizes[MESSAGE_TYPE_COUNT] = {
	[MESSAGE_START] = sizeof(struct message_start),
	[MESSAGE_CHANGE] = sizeof(struct message_change),
	[MESSAGE_TRANSLATE] = sizeof(struct message_translate),
	[MESSAGE_STOP] = 0,
	[MESSAGE_PING] = 0,
	[MESSAGE_RUNNING] = 0,
	[MESSAGE_FAILED] = sizeof(struct message_failed),
	[MESSAGE_CHANGED] = sizeof(struct message_changed),
	[MESSAGE_TRANSLATED] = sizeof(struct message_translated),
	[MESSAGE_SWITCH] = sizeof(struct message_switch),
	[MESSAGE_DECISION] = sizeof(struct message_decision),
	[MESSAGE_ENDED] = sizeof(struct message_ended),
};

size_t message_size(unsigned int type)
{
	if (type >= MESSAGE_TYPE_COUNT)
		return 0;
	return offsetof(struct message, start) + body_sizes[type];
}

int message_send(int fd, enum message_type type, struct message *message)
{
	return message_send_fds(fd, type, message, NULL, 0);
}

int message_send_fds(int fd, enum message_type type, struct message *message, const int *fds,
		     size_t nr_fds)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(MESSAGE_FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec piece = {.iov_base = message, .iov_len = message_size(type)};
	struct msghdr packet = {.msg_iov = &piece, .msg_iovlen = 1};
	ssize_t sent;

	message->header = (struct message_header){
		.magic = MESSAGE_MAGIC,
		.version = MESSAGE_VERSION,
		.type = type,
		.size = message_size(type),
	};
	if (nr_fds) {
		packet.msg_control = control.bytes;
		packet.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, nr_fds * sizeof(int));
	}
	do {
		sent = sendmsg(fd, &packet, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* Keeps the descriptors that came along, or closes those that nobody asked for. */
static void take_fds(struct msghdr *packet, int *ret_fds)
{
	size_t taken = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(packet); c; c = CMSG_NXTHDR(packet, c)) {
		size_t nr_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < nr_fds; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (ret_fds && taken < MESSAGE_FDS_MAX)
				ret_fds[taken++] = fd;
			else
				close(fd);
		}
	}
}

int message_receive(int fd, struct message *ret_message, int ret_fds[MESSAGE_FDS_MAX])
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(MESSAGE_FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec piece = {.iov_base = ret_message, .iov_len = sizeof(*ret_message)};
	struct msghdr packet = {
		.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	const struct message_header *header = &ret_message->header;
	ssize_t received;

	for (int i = 0; ret_fds && i < MESSAGE_FDS_MAX; i++)
		ret_fds[i] = -1;
	memset(ret_message, 0, sizeof(*ret_message));
	do {
		received = recvmsg(fd, &packet, MSG_CMSG_CLOEXEC);
	} while (received < 0 && errno == EINTR);
	if (received < 0)
		return errno == ECONNRESET ? 0 : -errno;
	take_fds(&packet, ret_fds);
	if (!received)
		return 0;
	if ((packet.msg_flags & MSG_TRUNC) || (size_t)received < sizeof(*header) ||
	    header->magic != MESSAGE_MAGIC || header->version != MESSAGE_VERSION ||
	    header->size != (size_t)received || message_size(header->type) != (size_t)received)
		return -EBADMSG;
	return 1;
}

/* Ends the text within its array and leaves nothing in it that a terminal would obey. */
static void check_text(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (; *text; text++) {
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
	}
}

static int check_switch(struct message_switch *message)
{
	const struct umbra_switch *made = &message->record;

	check_text(message->reason, sizeof(message->reason));
	if (!message->number || (unsigned int)made->from >= UMBRA_MODE_COUNT ||
	    (unsigned int)made->to >= UMBRA_MODE_COUNT)
		return -EBADMSG;
	return 0;
}

static int check_decision(struct message_decision *message)
{
	struct policy_decision *decision = &message->record;
	const struct policy_after *after = &decision->after;
	bool good = decision->id && (unsigned int)decision->mode < UMBRA_MODE_COUNT &&
		    (unsigned int)decision->target < UMBRA_MODE_COUNT &&
		    (unsigned int)decision->rival < UMBRA_MODE_COUNT &&
		    (unsigned int)decision->action < POLICY_ACTION_COUNT &&
		    isfinite(decision->switch_cost) && isfinite(decision->threshold) &&
		    isfinite(decision->advantage) && is_bool(&after->known) &&
		    is_bool(&after->paid) && isfinite(after->cycles_per_instruction_before) &&
		    isfinite(after->cycles_per_instruction) && isfinite(after->refill_cycles);

	for (int i = 0; i < POLICY_INPUT_COUNT; i++) {
		const struct policy_input *input = &decision->inputs[i];

		good = good && is_bool(&input->known) && is_bool(&input->model_only) &&
		       isfinite(input->uncertainty);
	}
	for (int i = 0; i < UMBRA_MODE_COUNT; i++) {
		const struct policy_cost *cost = &decision->cost[i];

		good = good && is_bool(&cost->known) && isfinite(cost->cycles) &&
		       isfinite(cost->uncertainty);
	}
	check_text(message->reason, sizeof(message->reason));
	decision->reason = policy_reason_find(message->reason);
	return good && decision->reason ? 0 : -EBADMSG;
}

static bool is_step(const struct umbra_step *step)
{
	return (unsigned int)step->kind <= UMBRA_STEP_NOBODY &&
	       (unsigned int)step->table <= UMBRA_TABLE_EPT && step->level >= 1 &&
	       step->level <= UMBRA_TABLE_LEVELS && is_bool(&step->write) &&
	       (unsigned int)step->reason < UMBRA_EXIT_REASON_COUNT;
}

static bool are_steps(const struct umbra_step *steps, unsigned int count, unsigned int max)
{
	if (count > max)
		return false;
	for (unsigned int i = 0; i < count; i++) {
		if (!is_step(&steps[i]))
			return false;
	}
	return true;
}

static int check_translated(struct message_translated *message)
{
	const struct umbra_translation *t = &message->translation;
	bool good = (unsigned int)t->access <= UMBRA_EXPLAIN_EXECUTE && t->cpu < UMBRA_MAX_CPUS &&
		    (unsigned int)t->privilege < UMBRA_PRIVILEGE_COUNT &&
		    (unsigned int)t->paging < UMBRA_PAGING_COUNT &&
		    (unsigned int)t->outcome < UMBRA_OUTCOME_COUNT &&
		    t->instructions <= INT64_MAX && t->time <= INT64_MAX &&
		    t->page_bytes <= INT64_MAX && t->key < 16 && is_bool(&t->write) &&
		    is_bool(&t->user) && is_bool(&t->execute) &&
		    are_steps(t->entry, t->nr_entries, UMBRA_TABLE_LEVELS);

	check_text(message->text, sizeof(message->text));
	if (message->error)
		return message->error < 0 ? 0 : -EBADMSG;
	for (int i = 0; i < UMBRA_MODE_COUNT; i++) {
		const struct umbra_mode_walk *walk = &t->walk[i];

		good = good && walk->mode == (enum umbra_mode)i && is_bool(&walk->on) &&
		       (unsigned int)walk->end < UMBRA_WALK_END_COUNT &&
		       (unsigned int)walk->reason < UMBRA_EXIT_REASON_COUNT &&
		       (unsigned int)walk->walk_unknown < UMBRA_UNKNOWN_COUNT &&
		       (unsigned int)walk->hpa_unknown < UMBRA_UNKNOWN_COUNT &&
		       walk->page_bytes <= INT64_MAX &&
		       are_steps(walk->step, walk->nr_steps, UMBRA_WALK_REFERENCES);
	}
	return good ? 0 : -EBADMSG;
}

static int check_ended(struct message_ended *message)
{
	check_text(message->cpu_mode, sizeof(message->cpu_mode));
	check_text(message->end.text, sizeof(message->end.text));
	check_text(message->memory_hash, sizeof(message->memory_hash));
	message->end.cpu_mode = NULL;
	if (message->end.reason == UMBRA_END_NONE ||
	    (unsigned int)message->end.reason >= UMBRA_END_REASON_COUNT ||
	    message->end.nr_bytes > sizeof(message->end.bytes) ||
	    message->end.cpu >= UMBRA_MAX_CPUS)
		return -EBADMSG;
	return 0;
}

int message_check(struct message *message)
{
	switch (message->header.type) {
	case MESSAGE_RUNNING: return 0;
	case MESSAGE_FAILED:
		check_text(message->failed.text, sizeof(message->failed.text));
		return 0;
	case MESSAGE_CHANGED:
		check_text(message->changed.text, sizeof(message->changed.text));
		if (message->changed.error > 0 || message->changed.policy >= POLICY_KIND_COUNT)
			return -EBADMSG;
		return message->changed.switched ? check_switch(&message->changed.made) : 0;
	case MESSAGE_TRANSLATED: return check_translated(&message->translated);
	case MESSAGE_SWITCH: return check_switch(&message->switched);
	case MESSAGE_DECISION: return check_decision(&message->decision);
	case MESSAGE_ENDED: return check_ended(&message->ended);
	default: return -EBADMSG;
	}
}

const char *message_switch_reason(const char *reason)
{
	static const char *const reasons[] = {"policy", "rollback", "operator", "schedule",
					      "configuration"};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (!strcmp(reason, reasons[i]))
			return reasons[i];
	}
	return "other";
}
