/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "web/answer.h"

/* Where the body is kept, if at all. */
static struct bodies *place_of(const struct route *route, const struct request *request,
			       struct bodies *forever)
{
	if (request->target->nr_parameters)
		return NULL;
	switch (route->keep) {
	case KEEP_NOT: return NULL;
	case KEEP_FOREVER: return forever;
	default: return &request->snapshot->bodies;
	}
}

static struct body *keep(struct bodies *place, const struct route *route, struct body *body)
{
	return place && body ? bodies_keep(place, body, route->keep != KEEP_ONE) : body;
}

static struct body *out_of_memory(struct reply *reply)
{
	refuse(reply, 500, "out of memory");
	return NULL;
}

/* As it is, not compressed. */
static struct body *get_plain(const struct route *route, const struct request *request,
			      struct bodies *place, const char *key, struct reply *reply)
{
	unsigned int variant = 2 * request->offer;
	struct body *body = place ? bodies_find(place, key, variant) : NULL;

	if (body)
		return body;
	route->get(request, reply);
	if (reply->status != 200 || reply->wait)
		return NULL;
	body = body_create(key, variant, reply->content_type, reply->body, reply->len);
	return body ? keep(place, route, body) : out_of_memory(reply);
}

struct body *answer_get(const struct route *route, struct request *request, struct bodies *forever,
			const char *accept, enum coding coding, struct reply *reply)
{
	struct bodies *place = place_of(route, request, forever);
	char key[sizeof(request->id) + 64];
	struct body *plain, *packed;

	if (route->nr_offers)
		request->offer = accept_media(accept, route->offers, route->nr_offers);
	snprintf(key, sizeof(key), "%s %s", route->pattern, request->id);
	if (coding != CODING_IDENTITY && place) {
		packed = bodies_find(place, key, 2 * request->offer + 1);
		if (packed)
			return packed;
	}
	plain = get_plain(route, request, place, key, reply);
	if (!plain || coding == CODING_IDENTITY ||
	    (coding == CODING_GZIP && plain->len < BODY_GZIP_MIN))
		return plain;
	packed = body_gzip(plain, 2 * request->offer + 1);
	body_unref(plain);
	return packed ? keep(place, route, packed) : out_of_memory(reply);
}
