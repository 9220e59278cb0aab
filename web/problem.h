/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Problem details for HTTP APIs (RFC 9457). */
#ifndef WEB_PROBLEM_H
#define WEB_PROBLEM_H

#define PROBLEM_CONTENT_TYPE "application/problem+json"

/* The body; the caller frees it. @detail may be NULL. NULL: out of memory. */
char *web_problem(unsigned int status, const char *instance, const char *detail);
/* The reason phrase of RFC 9110 for @status. */
const char *web_status_title(unsigned int status);

#endif
