/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#define SD_JOURNAL_SUPPRESS_LOCATION /* our own CODE_FILE would always be this one */
#include <systemd/sd-journal.h>
#endif

#include "daemon/log.h"

enum { TEXT_MAX = 1024, FIELD_MAX = TEXT_MAX + 32, FIELDS_MAX = 6 };

struct kind {
	int priority;
	const char *id; /* NULL: none */
};

struct about {
	const char *guest, *mode; /* NULL: none */
};

static const struct kind kinds[LOG_EVENT_COUNT] = {
#define LOG_EVENT_KIND(name, priority, id) [LOG_##name] = {priority, id},
	LOG_EVENTS(LOG_EVENT_KIND)
#undef LOG_EVENT_KIND
};

static enum log_transport transport = LOG_LINES;
static const char *program = "umbrad";

enum log_transport log_choose(const char *journal_stream, const struct stat *stderr_status,
			      bool sockets)
{
	unsigned long long device, inode;
	char rest;

	/* systemd.exec(5): both numbers, for a process whose standard error was changed later. */
	if (!journal_stream || sscanf(journal_stream, "%llu:%llu%c", &device, &inode, &rest) != 2 ||
	    device != stderr_status->st_dev || inode != stderr_status->st_ino)
		return LOG_LINES;
#ifdef HAVE_SYSTEMD
	if (sockets)
		return LOG_JOURNAL;
#endif
	return LOG_PREFIXED_LINES;
}

void log_open(const char *name, bool sockets)
{
	struct stat status;

	program = name;
	if (!fstat(STDERR_FILENO, &status))
		transport = log_choose(getenv("JOURNAL_STREAM"), &status, sockets);
}

#ifdef HAVE_SYSTEMD
struct fields {
	char text[FIELDS_MAX][FIELD_MAX];
	struct iovec parts[FIELDS_MAX];
	int count;
};

static void add_field(struct fields *fields, const char *name, const char *value)
{
	char *text = fields->text[fields->count];

	if (!value)
		return;
	snprintf(text, FIELD_MAX, "%s=%s", name, value);
	fields->parts[fields->count] = (struct iovec){.iov_base = text, .iov_len = strlen(text)};
	fields->count++;
}

static void send_to_journal(const struct kind *kind, const struct about *about, const char *text)
{
	const char priority[] = {(char)('0' + kind->priority), 0};
	struct fields fields = {0};

	add_field(&fields, "MESSAGE", text);
	add_field(&fields, "PRIORITY", priority);
	add_field(&fields, "SYSLOG_IDENTIFIER", program);
	add_field(&fields, "MESSAGE_ID", kind->id);
	add_field(&fields, "UMBRA_GUEST", about->guest);
	add_field(&fields, "UMBRA_MODE", about->mode);
	sd_journal_sendv(fields.parts, fields.count);
}
#else
static void send_to_journal(const struct kind *kind, const struct about *about, const char *text)
{
}
#endif

static void write_message(const struct kind *kind, const struct about *about, const char *format,
			  va_list arguments)
{
	char body[TEXT_MAX - 64], text[TEXT_MAX], prefix[8] = "";

	vsnprintf(body, sizeof(body), format, arguments);
	for (char *c = body; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	if (about->guest)
		snprintf(text, sizeof(text), "guest %.48s: %s", about->guest, body);
	else
		snprintf(text, sizeof(text), "%s", body);
	if (transport == LOG_JOURNAL) {
		send_to_journal(kind, about, text);
		return;
	}
	if (transport == LOG_PREFIXED_LINES)
		snprintf(prefix, sizeof(prefix), "<%d>", kind->priority);
	fprintf(stderr, "%s%s: %s\n", prefix, program, text);
}

void log_write(int priority, const char *guest, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_message(&(struct kind){.priority = priority}, &(struct about){.guest = guest}, format,
		      arguments);
	va_end(arguments);
}

void log_event(enum log_event event, const char *guest, const char *mode, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_message(&kinds[event], &(struct about){.guest = guest, .mode = mode}, format,
		      arguments);
	va_end(arguments);
}
