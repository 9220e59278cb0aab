/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbrad's HTTP API over its unix socket, and the options of the verbs that use it. */
#ifndef CLIENT_API_H
#define CLIENT_API_H

#include <jansson.h>
#include <stdbool.h>

#define API_DEFAULT_SOCKET "/run/umbra/umbra.sock"

/* Options that a verb can have beside --socket. */
enum api_option {
	API_JSON,        /* --json */
	API_LIMIT,       /* --limit N */
	API_EXPLAIN,     /* --explain ID */
	API_CPU,         /* --cpu N */
	API_ACCESS,      /* --access r|w|x */
	API_MODE,        /* --mode M */
	API_OPENMETRICS, /* --openmetrics */
	API_OPTION_COUNT,
};

#define API_HAS(option) (1u << API_##option)

/* What the words after a verb said. */
struct api_options {
	const char *socket;
	const char *value[API_OPTION_COUNT]; /* NULL: not given; "" where it takes none */
	char **words;                        /* what is no option */
	int nr_words;
};

/*
 * Takes the options out of argv; @has: API_HAS() of those that the verb has. 0 or the exit status,
 * told; @usage is shown when there are fewer than @min or more than @max words.
 */
int api_parse(int argc, char **argv, unsigned int has, int min, int max, const char *usage,
	      struct api_options *ret_options);

/*
 * Asks for @path, whose "%s" is replaced with the percent-encoded @id (may be NULL). @body: what to
 * PUT; NULL: GET. 0 and the answer, which the caller frees, or the exit status, told.
 */
int api_ask(const struct api_options *options, const char *path, const char *id, const json_t *body,
	    json_t **ret_answer);
/* The same for a verb that has --json: with it the answer is printed and *ret_answer is NULL. */
int api_ask_or_print(const struct api_options *options, const char *path, const char *id,
		     const json_t *body, json_t **ret_answer);
/* Prints what is served under @path as it is; @accept: media type that is wanted. */
int api_print(const struct api_options *options, const char *path, const char *accept);

/* The string or number of a key, "-" or 0 when it is missing or something else. */
const char *api_text(const json_t *object, const char *key);
double api_number(const json_t *object, const char *key);

#endif
