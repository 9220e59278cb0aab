/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a request is to be answered: how it is framed, where it comes from, what it asks for. */
#ifndef WEB_EXAMINE_H
#define WEB_EXAMINE_H

#include <microhttpd.h>
#include <stdbool.h>

#include "web/routes.h"

enum { HEADER_MAX = 1024 }; /* of a list that came in several lines */

/* The lines of one header. */
struct lines {
	const char *name;
	unsigned int count;
	const char *only; /* the value of the last one */
	char joined[HEADER_MAX];
};

/* The value of a header that is a list; @lines holds it. NULL: it was not sent. */
const char *header_list(struct MHD_Connection *connection, const char *name, struct lines *lines);

/*
 * What libmicrohttpd lets pass and a proxy before it may read in another way: then one's body is
 * the other's next request. The connection of what is refused must not go on.
 */
void examine_framing(struct MHD_Connection *connection, struct reply *reply);

struct inquiry {
	struct MHD_Connection *connection;
	const struct target *target;
	const char *method;
	const char *listen_address; /* for the Host check */
	bool local;                 /* it came over the unix socket */
	bool too_large;             /* its body */
};

/*
 * The route that is to answer, with request->id; NULL: @reply says why not, and *ret_allow which
 * methods there are if that is why.
 */
const struct route *examine_request(const struct inquiry *inquiry, struct request *request,
				    struct reply *reply, const char **ret_allow);

#endif
