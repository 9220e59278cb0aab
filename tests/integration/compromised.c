/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * umbrad, but that a worker whose guest's command line is "evil=WAY" is in the hands of its guest
 * from the start, and not even in a sandbox. What the way says it sends, for ever.
 */
int umbrad_main(int argc, char **argv);

#define main umbrad_main
#include "daemon/main.c"
#undef main

#include <sys/socket.h>

#include "daemon/message.h"
#include "daemon/shared.h"

static struct shared_counters *shared;

/* splitmix64 */
static uint64_t next_random(void)
{
	static uint64_t state = 1;
	uint64_t z = state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void fill_random(void *to, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)to)[i] = (uint8_t)next_random();
}

static void send_decision(int fd, uint64_t number)
{
	struct message message = {0};

	message.decision.record.id = number;
	/* Reasons by turns, so that no two rows are one. */
	strcpy(message.decision.reason, number % 2 ? "cheaper" : "dwell");
	message_send(fd, MESSAGE_DECISION, &message);
}

static void send_switch(int fd, uint64_t number)
{
	struct message message = {0};

	message.switched.number = number;
	message.switched.record.to = number % 2 ? UMBRA_MODE_SHADOW : UMBRA_MODE_EPT;
	strcpy(message.switched.reason, "policy");
	message_send(fd, MESSAGE_SWITCH, &message);
}

/* To nobody's question. */
static void send_answer(int fd, uint64_t number)
{
	struct message message = {.request = number};

	message_send(fd, MESSAGE_CHANGED, &message);
}

static void send_descriptors(int fd, uint64_t number)
{
	int fds[MESSAGE_FDS_MAX];
	struct message message = {0};

	for (int i = 0; i < MESSAGE_FDS_MAX; i++)
		fds[i] = STDIN_FILENO;
	message_send_fds(fd, MESSAGE_RUNNING, &message, fds, MESSAGE_FDS_MAX);
}

static void send_garbage(int fd, uint64_t number)
{
	struct message message;

	fill_random(&message, sizeof(message));
	send(fd, &message, 1 + next_random() % sizeof(message), MSG_NOSIGNAL);
}

/* Good messages with a byte of them changed. */
static void send_nearly(int fd, uint64_t number)
{
	struct message message = {.header = {MESSAGE_MAGIC, MESSAGE_VERSION}};
	uint8_t *bytes = (uint8_t *)&message;

	message.header.type = next_random() % 2 ? MESSAGE_RUNNING : MESSAGE_SWITCH;
	message.header.size = message_size(message.header.type);
	message.switched.number = 1;
	bytes[next_random() % message.header.size] = (uint8_t)next_random();
	send(fd, &message, message.header.size, MSG_NOSIGNAL);
}

static void send_end(int fd, uint64_t number)
{
	struct message message = {.ended.end.reason = UMBRA_END_HALTED};

	message_send(fd, MESSAGE_ENDED, &message);
}

static void scribble(int fd, uint64_t number)
{
	fill_random((uint8_t *)shared + 64, sizeof(*shared) - 64);
	shared->state.phase = WORKER_RUNNING;
	usleep(1000);
}

static void leave(int fd, uint64_t number)
{
	close(fd);
	pause();
}

static const struct {
	const char *name;
	void (*act)(int fd, uint64_t number);
} ways[] = {
	{"decisions", send_decision},
	{"switches", send_switch},
	{"answers", send_answer},
	{"descriptors", send_descriptors},
	{"garbage", send_garbage},
	{"nearly", send_nearly},
	{"ends", send_end},
	{"scribble", scribble},
	{"leave", leave},
};

static void be_evil(int fd, const char *way)
{
	struct message message = {0};
	size_t i = 0;

	while (i < sizeof(ways) / sizeof(ways[0]) && strcmp(ways[i].name, way))
		i++;
	if (i == sizeof(ways) / sizeof(ways[0]))
		_exit(99);
	shared_begin(shared);
	shared->state.phase = WORKER_RUNNING;
	message_send(fd, MESSAGE_RUNNING, &message);
	for (uint64_t number = 1;; number++) {
		__atomic_store_n(&shared->state.heartbeat, number, __ATOMIC_RELAXED);
		ways[i].act(fd, number);
	}
}

int main(int argc, char **argv)
{
	static const char evil[] = "evil=";
	struct message message;
	int fds[MESSAGE_FDS_MAX];

	/* A worker's socket is number 3; peeked at, its first message stays for an honest worker.
	 */
	if (argc > 1 && !strcmp(argv[1], "--role") &&
	    recv(3, &message, sizeof(message), MSG_PEEK) > 0 &&
	    !strncmp(message.start.append, evil, strlen(evil))) {
		if (message_receive(3, &message, fds) != 1)
			return 99;
		shared = shared_map(fds[START_FD_COUNTERS], true);
		be_evil(3, message.start.append + strlen(evil));
	}
	return umbrad_main(argc, argv);
}
