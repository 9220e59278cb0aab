/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What umbrad, its workers and umbra-collect tell whoever runs them. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>
#include <sys/stat.h>
#include <syslog.h>

/*
 * Kinds of messages that operators look for: name, priority, MESSAGE_ID in the journal. The ids are
 * outward names: never changed, documented in docs/daemon.md.
 */
#define LOG_EVENTS(X)                                                                              \
	X(GUEST_STARTED, LOG_INFO, "8967485888dd4a13b947b1e5e623d921")                             \
	X(GUEST_ENDED, LOG_INFO, "88db42b9f8f84d0b82669e117508699c")                               \
	X(GUEST_FAILED, LOG_ERR, "af31429f4c7c46269d1a9bfebe4be44b")                               \
	X(GUEST_RESTARTED, LOG_WARNING, "73995b8ed8e0492e8a032cda565a1cab")                        \
	X(GUEST_SWITCHED, LOG_INFO, "bcb26a979a1c4432beb52a976df88c15")                            \
	X(RELOADED, LOG_NOTICE, "1d0fd2cd267240bb9551f9dacd703a32")                                \
	X(RELOAD_REFUSED, LOG_ERR, "a9cbdc5d80864a9c88bf5a0a56edf11f")                             \
	X(JOURNAL_DEGRADED, LOG_ERR, "878fe3b9fdd6482f88b619232e0fa4cc")

enum log_event {
#define LOG_EVENT_NAME(name, priority, id) LOG_##name,
	LOG_EVENTS(LOG_EVENT_NAME)
#undef LOG_EVENT_NAME
		LOG_EVENT_COUNT,
};

/* How messages leave the process. */
enum log_transport {
	LOG_LINES,          /* lines on standard error, for people */
	LOG_PREFIXED_LINES, /* the same for systemd's journal: each begins with its priority */
	LOG_JOURNAL,        /* fields, to the journal's own socket */
};

/*
 * What suits a process whose standard error is @stderr_status and that systemd told @journal_stream
 * (the variable JOURNAL_STREAM; NULL: nothing). @sockets: it may open one.
 */
enum log_transport log_choose(const char *journal_stream, const struct stat *stderr_status,
			      bool sockets);
/*
 * To be called once, before the first message. Without it messages are lines of umbrad's. @name: of
 * the program, in front of each; it stays the caller's.
 */
void log_open(const char *name, bool sockets);

/*
 * One message. @priority: LOG_ERR, LOG_WARNING, ...; @guest that it is about: NULL: none. Control
 * characters become "?": a message is one line, whatever a guest's name for something holds.
 */
void log_write(int priority, const char *guest, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same for a message of a kind. @mode that a guest was switched to; NULL: none. */
void log_event(enum log_event event, const char *guest, const char *mode, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
