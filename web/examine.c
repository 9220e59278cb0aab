/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "web/accept.h"
#include "web/examine.h"
#include "web/guard.h"

static enum MHD_Result add_line(void *context, enum MHD_ValueKind kind, const char *name,
				const char *value)
{
	struct lines *lines = context;
	size_t len = strlen(lines->joined);

	if (strcasecmp(name, lines->name) || !value)
		return MHD_YES;
	lines->count++;
	lines->only = value;
	snprintf(lines->joined + len, sizeof(lines->joined) - len, "%s%s", len ? "," : "", value);
	return MHD_YES;
}

const char *header_list(struct MHD_Connection *connection, const char *name, struct lines *lines)
{
	lines->name = name;
	lines->count = 0;
	lines->joined[0] = '\0';
	MHD_get_connection_values(connection, MHD_HEADER_KIND, add_line, lines);
	return lines->count > 1 ? lines->joined : lines->count ? lines->only : NULL;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

struct framing {
	unsigned int lengths, codings;
	bool chunked;
	bool bad_name;
};

/* RFC 9110, 5.6.2. */
static bool is_token(const char *name)
{
	return *name && name[strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
					  "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

static enum MHD_Result look_at(void *context, enum MHD_ValueKind kind, const char *name,
			       const char *value)
{
	struct framing *framing = context;

	if (!is_token(name))
		framing->bad_name = true;
	if (!strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH))
		framing->lengths++;
	if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) != 0)
		return MHD_YES;
	framing->codings++;
	framing->chunked = value && !strcasecmp(value, "chunked");
	return MHD_YES;
}

void examine_framing(struct MHD_Connection *connection, struct reply *reply)
{
	struct framing framing = {0};

	MHD_get_connection_values(connection, MHD_HEADER_KIND, look_at, &framing);
	if (framing.bad_name)
		refuse(reply, 400, "the name of a header has a character that none may have");
	else if (framing.lengths > 1)
		refuse(reply, 400, "there is more than one Content-Length");
	else if (framing.lengths && framing.codings)
		refuse(reply, 400, "there are both Content-Length and Transfer-Encoding");
	else if (framing.codings && (framing.codings > 1 || !framing.chunked))
		refuse(reply, 501, "of transfer codings only chunked is known");
}

/* What the headers say about where the request comes from and whom it is for. */
static void check_headers(const struct inquiry *inquiry, struct reply *reply)
{
	const char *address = inquiry->listen_address;
	const char *authority = inquiry->target->authority;
	const char *host, *origin;
	struct lines lines;

	host = header_list(inquiry->connection, MHD_HTTP_HEADER_HOST, &lines);
	if (host && lines.count > 1) {
		refuse(reply, 400, "there is more than one Host header");
		return;
	}
	origin = header(inquiry->connection, MHD_HTTP_HEADER_ORIGIN);
	if (origin && !guard_origin(origin, address))
		refuse(reply, 403, "the Origin header names another site than this one");
	/* Only who is on this machine, and no browser, gets to the unix socket. */
	else if (inquiry->local)
		return;
	else if (!host)
		refuse(reply, 400, "there is no Host header");
	else if (!guard_host(host, address))
		refuse(reply, 421, "the Host header names another host than this one");
	else if (authority && !guard_host(authority, address))
		refuse(reply, 421, "the request's target names another host than this one");
}

static void check_writer(const struct inquiry *inquiry, struct reply *reply)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(inquiry->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	const char *type = header(inquiry->connection, MHD_HTTP_HEADER_CONTENT_TYPE);

	if (!inquiry->local)
		refuse(reply, 403,
		       "TCP is read-only; what changes something needs the unix socket");
	else if (!info || !guard_peer(info->connect_fd))
		refuse(reply, 403,
		       "only root, the daemon's own user and the group umbra may do this");
	else if (type && !accept_json(type))
		refuse(reply, 415, "the body must be application/json");
	else if (inquiry->too_large)
		refuse(reply, 413, "the body is larger than 4096 bytes");
}

static void check_parameters(const struct route *route, const struct target *target,
			     struct reply *reply)
{
	for (unsigned int i = 0; i < target->nr_parameters; i++) {
		const char *name = target->parameters[i].name;
		const struct parameter *known = route->parameters;

		while (known && known->name && strcmp(known->name, name))
			known++;
		if (!known || !known->name) {
			reply->status = 400;
			snprintf(reply->detail, sizeof(reply->detail),
				 "%.64s: this path has no such parameter", name);
		} else if (target_parameter(target, name) != target->parameters[i].value) {
			reply->status = 400;
			snprintf(reply->detail, sizeof(reply->detail), "%.64s: given twice", name);
		}
	}
}

const struct route *examine_request(const struct inquiry *inquiry, struct request *request,
				    struct reply *reply, const char **ret_allow)
{
	bool read = !strcmp(inquiry->method, MHD_HTTP_METHOD_GET) ||
		    !strcmp(inquiry->method, MHD_HTTP_METHOD_HEAD);
	const struct route *route;

	check_headers(inquiry, reply);
	if (reply->status)
		return NULL;
	route = route_find(inquiry->target, request->id, sizeof(request->id));
	if (!route) {
		refuse(reply, 404, "nothing is served under this path");
		return NULL;
	}
	if (!read && (!route->put || strcmp(inquiry->method, MHD_HTTP_METHOD_PUT))) {
		refuse(reply, 405, "this path does not have that method");
		*ret_allow = route->put ? "GET, HEAD, PUT" : "GET, HEAD";
		return NULL;
	}
	check_parameters(route, inquiry->target, reply);
	if (!read && !reply->status)
		check_writer(inquiry, reply);
	return reply->status ? NULL : route;
}
