/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is served under which path. */
#ifndef WEB_ROUTES_H
#define WEB_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "web/server.h"

/* A request as a route sees it. */
struct request {
	const struct web_config *web;
	struct snapshot *snapshot; /* the latest; never NULL */
	const char *path;
	char id[128]; /* the path's {id}; empty: the route has none */
	/* A value of the query by its name; NULL: not given. */
	const char *(*query)(void *context, const char *name);
	void *context;
	const char *body; /* of a PUT, NUL-terminated */
	size_t body_len;
	struct web_wish *wish; /* where a route states its wish */
};

/* What a route answers. A status of 400 and more becomes a problem with @detail. */
struct reply {
	unsigned int status;
	const char *content_type;
	char *body; /* malloc'd; whoever gets the reply frees it */
	size_t len;
	char detail[256];
	bool wait; /* request->wish is to be handed on; web_wish_reply() answers */
};

struct route {
	const char *pattern; /* "{id}" stands for one segment; NULL ends the rows */
	void (*get)(const struct request *request, struct reply *reply);
	void (*put)(const struct request *request, struct reply *reply); /* NULL: read-only */
};

/* The route of @path and its {id}; NULL: none. */
const struct route *route_find(const char *path, char *ret_id, size_t size);

/* The answer to a wish that has been carried out, or not. */
void web_wish_reply(const struct request *request, struct reply *reply);

#endif
