/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbrad's HTTP API over its unix socket, and the options of the verbs that use it. */
#ifndef CLIENT_API_H
#define CLIENT_API_H

#include <jansson.h>
#include <stdbool.h>

/* What the words after a verb said. */
struct api_options {
	const char *socket;
	bool json;         /* print what umbrad said, as it is */
	const char *limit; /* NULL: not given */
	char **words;      /* what is no option */
	int nr_words;
};

/*
 * Takes the options out of argv; @has_limit: the verb has --limit. 0 or the exit status, told;
 * *@usage is shown when there are fewer than @min or more than @max words.
 */
int api_parse(int argc, char **argv, bool has_limit, int min, int max, const char *usage,
	      struct api_options *ret_options);

/*
 * Asks for @path, whose "%s" is replaced with the percent-encoded @id (may be NULL). @body: what to
 * PUT; NULL: GET. 0 and the answer, which the caller frees, or the exit status, told. With --json
 * the answer is printed here and *ret_answer is NULL.
 */
int api_ask(const struct api_options *options, const char *path, const char *id, const json_t *body,
	    json_t **ret_answer);

/* The string or number of a key, "-" or 0 when it is missing or something else. */
const char *api_text(const json_t *object, const char *key);
double api_number(const json_t *object, const char *key);

#endif
