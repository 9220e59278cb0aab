/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is served under which path. */
#ifndef WEB_ROUTES_H
#define WEB_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "web/accept.h"
#include "web/server.h"
#include "web/statistics.h"
#include "web/target.h"

/* A request as a route sees it. */
struct request {
	const struct web_config *web;
	const struct web_statistics *statistics;
	struct snapshot *snapshot;   /* the latest; never NULL */
	const struct target *target; /* target_parameter() gives a value of its query */
	char id[128];                /* the path's {id}; empty: the route has none */
	size_t offer;                /* of the route's offers: which is wanted */
	const char *body;            /* of a PUT, NUL-terminated */
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

/* How long the body of a GET without a query is kept for others. */
enum route_keep {
	KEEP_NOT,     /* it is made for each request, or waits for a wish */
	KEEP_ONE,     /* as long as the snapshot, if there is room: one of many guests */
	KEEP_ALL,     /* as long as the snapshot */
	KEEP_FOREVER, /* it never changes */
};

/* What a query may have. */
struct parameter {
	const char *name; /* NULL ends the rows */
	const char *help; /* with the unit */
};

struct route {
	const char *pattern; /* "{id}" stands for one segment; NULL ends the rows */
	void (*get)(const struct request *request, struct reply *reply);
	void (*put)(const struct request *request, struct reply *reply); /* NULL: read-only */
	enum route_keep keep;
	const char *answer;                 /* schema of what GET answers; NULL: it is no JSON */
	const char *wish;                   /* schema of what PUT takes */
	const char *put_answer;             /* and answers */
	const struct parameter *parameters; /* NULL: it takes no query */
	const struct media *offers;         /* representations to choose from; NULL: one */
	size_t nr_offers;
};

extern const struct route routes[];

/* The route of @target and its {id}; NULL: none. */
const struct route *route_find(const struct target *target, char *ret_id, size_t size);

/* The reply becomes a problem of that status, 400 and more. */
void refuse(struct reply *reply, unsigned int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The answer to a wish that has been carried out, or not. */
void web_wish_reply(const struct request *request, struct reply *reply);

#endif
