/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What umbrad and its workers tell whoever runs them. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <syslog.h>

/* One message, a line. @priority: LOG_ERR, LOG_WARNING, ...; @guest that it is about: NULL: none.
 */
void log_write(int priority, const char *guest, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
