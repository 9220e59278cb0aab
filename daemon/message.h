/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What umbrad and a worker tell each other: one message a packet of a SOCK_SEQPACKET pair, each
 * with a header that names version, type and size. Both ends check all three before they look at
 * the body, and umbrad checks every value of a worker's message, for a worker runs hostile code.
 */
#ifndef DAEMON_MESSAGE_H
#define DAEMON_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"
#include "policy/record.h"
#include "umbra/end.h"
#include "umbra/guest.h"
#include "umbra/translate.h"

enum {
	MESSAGE_MAGIC = 0x41524255, /* "UBRA" */
	MESSAGE_VERSION = 7,
	MESSAGE_NAME_MAX = 128,
	MESSAGE_APPEND_MAX = 2048,
	MESSAGE_REASON_MAX = 32,
	MESSAGE_TEXT_MAX = 256,
};

enum message_type {
	/* umbrad to worker */
	MESSAGE_START, /* with descriptors: enum message_start_fd */
	MESSAGE_CHANGE,
	MESSAGE_TRANSLATE,
	MESSAGE_STOP,
	MESSAGE_PING, /* the worker's guest is to come to an event, which its state shows */
	/* worker to umbrad */
	MESSAGE_RUNNING,
	MESSAGE_FAILED,
	MESSAGE_CHANGED,
	MESSAGE_TRANSLATED,
	MESSAGE_SWITCH,   /* new, or amended: the number says which */
	MESSAGE_DECISION, /* new, or amended: the id says which */
	MESSAGE_ENDED,
	MESSAGE_TYPE_COUNT,
};

struct message_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t size; /* of the whole message */
	uint32_t reserved;
};

struct message_start {
	char name[MESSAGE_NAME_MAX];
	char image[MESSAGE_NAME_MAX];  /* its file's name, for messages and the command line */
	char initrd[MESSAGE_NAME_MAX]; /* likewise; empty: none */
	char append[MESSAGE_APPEND_MAX];
	uint64_t memory;
	uint64_t interval;
	uint32_t engine, mode, clock, policy;
	uint32_t console; /* 1: the guest's output goes to standard error */
	uint32_t cpus;
	uint32_t processor; /* number */
	struct umbra_cost cost;
};

struct message_change {
	uint32_t has_mode;     /* 1: switch to mode first */
	uint32_t mode, policy; /* the policy is who decides then */
	uint32_t configured;   /* 1: the configuration asks for it, 0: an operator */
};

struct message_translate {
	uint64_t gva;
	uint32_t cpu;
	uint32_t access; /* enum umbra_explain_access */
};

struct message_failed {
	char text[MESSAGE_TEXT_MAX];
};

struct message_switch {
	uint64_t number; /* 1, 2, ... of this guest */
	struct umbra_switch record;
	char reason[MESSAGE_REASON_MAX];
};

struct message_changed {
	int32_t error; /* 0 or a negative errno */
	uint32_t switched;
	uint32_t policy;            /* that decides now */
	uint32_t configured;        /* 1: the configuration asked for it */
	struct message_switch made; /* valid if switched */
	char text[MESSAGE_TEXT_MAX];
};

struct message_translated {
	int32_t error; /* 0 or a negative errno */
	uint32_t reserved;
	char text[MESSAGE_TEXT_MAX];
	struct umbra_translation translation; /* valid without an error */
};

/* The record's own reason is a pointer, which means nothing on the other side: the text goes along.
 */
struct message_decision {
	struct policy_decision record;
	char reason[MESSAGE_REASON_MAX];
};

struct message_ended {
	struct umbra_end end; /* its cpu_mode is a pointer: NULL here */
	char cpu_mode[MESSAGE_REASON_MAX];
	struct umbra_registers registers[UMBRA_MAX_CPUS]; /* of as many as were asked for */
	char memory_hash[33];
};

struct message {
	struct message_header header;
	uint64_t request; /* of a wish (1, 2, ...), in the question and in its answer; else 0 */
	union {
		struct message_start start;
		struct message_change change;
		struct message_translate translate;
		struct message_failed failed;
		struct message_changed changed;
		struct message_translated translated;
		struct message_switch switched;
		struct message_decision decision;
		struct message_ended ended;
	};
};

/* What comes along with MESSAGE_START, in this order; the last one only if there is one. */
enum message_start_fd {
	START_FD_COUNTERS,
	START_FD_CONTROL,
	START_FD_IMAGE,
	START_FD_INITRD,
	MESSAGE_FDS_MAX,
};

/* The size of a message of this type, or 0: there is no such type. */
size_t message_size(unsigned int type);

/* Completes the header of @message and sends it. 0 or a negative errno. */
int message_send(int fd, enum message_type type, struct message *message);
int message_send_fds(int fd, enum message_type type, struct message *message, const int *fds,
		     size_t nr_fds);

/*
 * Receives one message. 1: here it is; 0: the other end is closed; -EAGAIN: nothing now; -EBADMSG:
 * what came is no message of this version, of its type's size. Descriptors that came along go to
 * @ret_fds
 * (-1 where there is none); with NULL none are taken.
 */
int message_receive(int fd, struct message *ret_message, int ret_fds[MESSAGE_FDS_MAX]);

/*
 * Checks every value of a message from a worker that anything depends on: enums in range, numbers
 * finite, texts terminated and printable (others become '?'). Makes a decision's reason valid here.
 * 0 or -EBADMSG.
 */
int message_check(struct message *message);

/* The reason as one of the strings that records may have, so that no copy is needed; "other" else.
 */
const char *message_switch_reason(const char *reason);

#endif
