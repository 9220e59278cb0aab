/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Problem details for HTTP APIs (RFC 9457). */
#ifndef WEB_PROBLEM_H
#define WEB_PROBLEM_H

#define PROBLEM_CONTENT_TYPE "application/problem+json"

/* The body; the caller frees it. @detail may be NULL. NULL: out of memory. */
char *web_problem(unsigned int status, const char *instance, const char *detail);
/* clang-format off */
/* Every status that is ever answered: a row is WEB_STATUS(status, its reason phrase). */
#define WEB_STATUSES \
	WEB_STATUS(200, "OK") \
	WEB_STATUS(304, "Not Modified") \
	WEB_STATUS(400, "Bad Request") \
	WEB_STATUS(403, "Forbidden") \
	WEB_STATUS(404, "Not Found") \
	WEB_STATUS(405, "Method Not Allowed") \
	WEB_STATUS(406, "Not Acceptable") \
	WEB_STATUS(409, "Conflict") \
	WEB_STATUS(413, "Content Too Large") \
	WEB_STATUS(414, "URI Too Long") \
	WEB_STATUS(415, "Unsupported Media Type") \
	WEB_STATUS(421, "Misdirected Request") \
	WEB_STATUS(422, "Unprocessable Content") \
	WEB_STATUS(429, "Too Many Requests") \
	WEB_STATUS(500, "Internal Server Error") \
	WEB_STATUS(501, "Not Implemented") \
	WEB_STATUS(503, "Service Unavailable") \
	WEB_STATUS(504, "Gateway Timeout")
/* clang-format on */

enum {
#define WEB_STATUS(status, title) WEB_STATUS_##status,
	WEB_STATUSES
#undef WEB_STATUS
		WEB_STATUS_COUNT,
};

struct web_status {
	unsigned int status;
	const char *title;
};

/* In the order of the rows; ends with a row of status 0. */
extern const struct web_status web_statuses[WEB_STATUS_COUNT + 1];

/* The reason phrase of RFC 9110 for @status. */
const char *web_status_title(unsigned int status);

#endif
