/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zlib.h>

#include "web/body.h"

enum { GZIP_WINDOW = MAX_WBITS + 16 /* zlib's way to ask for gzip's header */, GZIP_MEMORY = 8 };

struct body *body_create(const char *key, unsigned int variant, const char *content_type,
			 char *data, size_t len)
{
	struct body *body = calloc(1, sizeof(*body) + strlen(key) + 1);

	if (!body) {
		free(data);
		return NULL;
	}
	body->content_type = content_type;
	body->data = data;
	body->len = len;
	body->variant = variant;
	strcpy(body->key, key);
	atomic_init(&body->references, 1);
	snprintf(body->etag, sizeof(body->etag), "\"%016" PRIx64 "\"",
		 (uint64_t)XXH3_64bits(data, len));
	return body;
}

/* The deflated bytes of @plain; NULL: out of memory. */
static char *compress_all(const struct body *plain, size_t *ret_len)
{
	z_stream stream = {0};
	size_t size;
	char *data, *fit;

	/* Level 1: the text repeats itself so much that more effort gains little. */
	if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	size = deflateBound(&stream, plain->len);
	data = malloc(size);
	if (data) {
		stream.next_in = (Bytef *)plain->data;
		stream.avail_in = plain->len;
		stream.next_out = (Bytef *)data;
		stream.avail_out = size;
		if (deflate(&stream, Z_FINISH) != Z_STREAM_END) {
			free(data);
			data = NULL;
		}
	}
	*ret_len = stream.total_out;
	deflateEnd(&stream);
	fit = data ? realloc(data, *ret_len) : NULL;
	return fit ? fit : data;
}

struct body *body_gzip(const struct body *plain, unsigned int variant)
{
	size_t len;
	char *data = compress_all(plain, &len);
	struct body *body;

	if (!data)
		return NULL;
	body = body_create(plain->key, variant, plain->content_type, data, len);
	if (!body)
		return NULL;
	body->gzip = true;
	snprintf(body->etag, sizeof(body->etag), "%.*s-gzip\"", (int)strlen(plain->etag) - 1,
		 plain->etag);
	return body;
}

struct body *body_ref(struct body *body)
{
	atomic_fetch_add_explicit(&body->references, 1, memory_order_relaxed);
	return body;
}

void body_unref(struct body *body)
{
	/* As snapshot_unref(). */
	if (!body || atomic_fetch_sub_explicit(&body->references, 1, memory_order_acq_rel) != 1)
		return;
	free(body->data);
	free(body);
}

static _Atomic(struct body *) *bucket_of(struct bodies *bodies, const char *key,
					 unsigned int variant)
{
	uint64_t hash = XXH3_64bits_withSeed(key, strlen(key), variant);

	return &bodies->buckets[hash % BODY_BUCKETS];
}

/* In a list, whose bodies never change and never leave it while it can be looked at. */
static struct body *find_in(struct body *first, const char *key, unsigned int variant)
{
	for (struct body *body = first; body; body = body->next) {
		if (body->variant == variant && !strcmp(body->key, key))
			return body;
	}
	return NULL;
}

struct body *bodies_find(struct bodies *bodies, const char *key, unsigned int variant)
{
	/* Acquire: what its maker wrote is seen. */
	struct body *first =
		atomic_load_explicit(bucket_of(bodies, key, variant), memory_order_acquire);
	struct body *found = find_in(first, key, variant);

	return found ? body_ref(found) : NULL;
}

struct body *bodies_keep(struct bodies *bodies, struct body *body, bool always)
{
	_Atomic(struct body *) *bucket = bucket_of(bodies, body->key, body->variant);
	struct body *first = atomic_load_explicit(bucket, memory_order_acquire);

	size_t counted = always ? 0 : body->len;

	if (atomic_fetch_add(&bodies->kept, counted) + counted > BODY_KEPT_MAX && !always) {
		atomic_fetch_sub(&bodies->kept, counted);
		return body;
	}
	do {
		struct body *other = find_in(first, body->key, body->variant);

		if (other) {
			atomic_fetch_sub(&bodies->kept, counted);
			body_unref(body);
			return body_ref(other);
		}
		body->next = first;
	} while (!atomic_compare_exchange_weak_explicit(bucket, &first, body, memory_order_release,
							memory_order_acquire));
	/* One reference is the list's. */
	return body_ref(body);
}

void bodies_clear(struct bodies *bodies)
{
	for (size_t i = 0; i < BODY_BUCKETS; i++) {
		struct body *body = atomic_load(&bodies->buckets[i]);

		while (body) {
			struct body *next = body->next;

			body_unref(body);
			body = next;
		}
		atomic_store(&bodies->buckets[i], NULL);
	}
	atomic_store(&bodies->kept, 0);
}
