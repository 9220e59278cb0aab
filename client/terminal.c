/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "client/terminal.h"

/* A guest may look at its UART at every turn: ask the host no more often than this. */
#define ASK_EVERY_NS 1000000

struct terminal {
	uint8_t in[256], out[1024];
	size_t in_at, in_nr, out_nr;
	bool in_ended;
	bool in_is_file; /* regular file: always ready, and repeatable */
	uint64_t asked_ns;
	int lost; /* errno of the first write that failed; 0: none */
	bool raw;
	struct termios before;
};

static struct terminal the_terminal;

void terminal_flush(void *context)
{
	struct terminal *t = context;
	size_t done = 0;

	while (done < t->out_nr) {
		ssize_t n = write(STDOUT_FILENO, t->out + done, t->out_nr - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) { /* nobody listens: the guest does not notice */
			t->lost = t->lost ? t->lost : errno;
			/* A vCPU's thread of KVM's has all signals blocked: the process gets it. */
			if (errno == EPIPE)
				kill(getpid(), SIGPIPE);
			break;
		}
		done += n;
	}
	t->out_nr = 0;
}

static void console_write(void *context, const uint8_t *bytes, size_t len)
{
	struct terminal *t = context;

	for (size_t i = 0; i < len; i++) {
		t->out[t->out_nr++] = bytes[i];
		if (bytes[i] == '\n' || t->out_nr == sizeof(t->out))
			terminal_flush(t);
	}
}

static bool may_ask(struct terminal *t)
{
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
	struct timespec ts;
	uint64_t now;

	if (t->in_is_file)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = ts.tv_sec * 1000000000ull + ts.tv_nsec;
	if (now - t->asked_ns < ASK_EVERY_NS)
		return false;
	t->asked_ns = now;
	terminal_flush(t); /* a prompt without a newline comes before its answer */
	return poll(&fd, 1, 0) > 0;
}

static int console_read(void *context)
{
	struct terminal *t = context;
	ssize_t n;

	if (t->in_at < t->in_nr)
		return t->in[t->in_at++];
	if (t->in_ended || !may_ask(t))
		return -1;
	n = read(STDIN_FILENO, t->in, sizeof(t->in));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return -1;
	if (n <= 0) {
		t->in_ended = true;
		return -1;
	}
	t->in_nr = n;
	t->in_at = 1;
	return t->in[0];
}

struct terminal *terminal_open(void)
{
	struct terminal *t = &the_terminal;
	struct termios raw;

	memset(t, 0, sizeof(*t));
	t->in_is_file = lseek(STDIN_FILENO, 0, SEEK_CUR) >= 0 && !isatty(STDIN_FILENO);
	if (!tcgetattr(STDIN_FILENO, &t->before)) {
		raw = t->before;
		/* Signals still work, so that Ctrl-C ends the run. */
		raw.c_lflag &= ~(ICANON | ECHO);
		raw.c_iflag &= ~(ICRNL | IXON);
		t->raw = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	return t;
}

int terminal_close(struct terminal *t)
{
	terminal_flush(t);
	if (t->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
	t->raw = false;
	return t->lost;
}

struct umbra_console terminal_console(struct terminal *t)
{
	return (struct umbra_console){console_write, console_read, t};
}
