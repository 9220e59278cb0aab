/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a request line asks for (RFC 9112, 3.2): the path's segments and the query's parameters. */
#ifndef WEB_TARGET_H
#define WEB_TARGET_H

enum { TARGET_LEN_MAX = 2000, TARGET_SEGMENTS_MAX = 8, TARGET_PARAMETERS_MAX = 8 };

struct target {
	/* Of a target in absolute form ("http://host/path"), as Host has it; NULL: another form. */
	const char *authority;
	/*
	 * What stands between the slashes, each decoded after the path was split: an encoded slash
	 * never makes a segment. "/a/" has two, the last one empty.
	 */
	const char *segments[TARGET_SEGMENTS_MAX];
	unsigned int nr_segments;
	struct {
		const char *name, *value;
	} parameters[TARGET_PARAMETERS_MAX];
	unsigned int nr_parameters;

	char path[TARGET_LEN_MAX + 1];  /* as it was sent, without authority and query */
	char bytes[TARGET_LEN_MAX + 1]; /* what the pointers above point into */
};

/* 0, or the HTTP status that refuses it, with the reason in *ret_why (static). */
unsigned int target_parse(const char *text, struct target *ret_target, const char **ret_why);

/* The first parameter of this name; NULL: not given. */
const char *target_parameter(const struct target *target, const char *name);

#endif
