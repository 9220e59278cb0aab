/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bodies of answers: formatted once, shared by all who ask for the same. Whoever asks first
 * formats; of several at once each may, and one wins. Nobody holds a lock.
 */
#ifndef WEB_BODY_H
#define WEB_BODY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct body {
	const char *content_type; /* static */
	bool gzip;
	char *data;
	size_t len;
	char etag[32]; /* strong: of the bytes, and of the coding */

	/* Of body.c. */
	atomic_uint references;
	struct body *next;
	unsigned int variant;
	char key[];
};

enum {
	BODY_BUCKETS = 64,
	/* Bodies of single guests beyond this many bytes are not kept: nobody makes umbrad grow. */
	BODY_KEPT_MAX = 8 << 20,
	BODY_GZIP_MIN = 1024, /* smaller ones are not worth it */
};

struct bodies {
	_Atomic(struct body *) buckets[BODY_BUCKETS];
	atomic_size_t kept;
};

/*
 * A body with one reference. It takes over @data, which was malloc'd, also when it fails. @key: the
 * path, or what else stands for it, and @variant a number of the representation: what to find it
 * by. NULL: out of memory.
 */
struct body *body_create(const char *key, unsigned int variant, const char *content_type,
			 char *data, size_t len);
/* The same compressed, as another variant. NULL: out of memory. */
struct body *body_gzip(const struct body *plain, unsigned int variant);
struct body *body_ref(struct body *body);
void body_unref(struct body *body); /* may be NULL */

/* With a reference of the caller's own; NULL: not there. */
struct body *bodies_find(struct bodies *bodies, const char *key, unsigned int variant);
/*
 * Keeps @body for others, unless they were faster, or unless there are too many already and it is
 * not @always to be kept. Takes over the caller's reference and returns one to the body to be used.
 */
struct body *bodies_keep(struct bodies *bodies, struct body *body, bool always);
/* Drops all. Nobody may look for any more. */
void bodies_clear(struct bodies *bodies);

#endif
