/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "web/guard.h"
#include "web/problem.h"
#include "web/routes.h"
#include "web/server.h"

enum {
	BODY_MAX = 4096,
	CONNECTIONS_MAX = 64,
	CONNECTION_MEMORY = 32 * 1024,
	IDLE_SECONDS = 30,
};

struct listener {
	struct web *web;
	struct MHD_Daemon *daemon;
	bool local;
	struct listener *next;
};

struct web {
	struct web_config config;
	struct listener *listeners;
};

/* One request on its way; libmicrohttpd calls back with it as pieces arrive. */
struct exchange {
	struct web_wish wish; /* first: wish_done() gets from it to here */
	struct MHD_Connection *connection;
	bool too_large;
	bool waiting; /* suspended until the wish is done */
	size_t len;
	char body[BODY_MAX + 1];
};

static void wish_done(struct web_wish *wish)
{
	struct exchange *exchange = (struct exchange *)wish;

	MHD_resume_connection(exchange->connection);
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, const char *path,
				  struct reply *reply, const char *allow)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	if (reply->status >= 400) {
		reply->body =
			web_problem(reply->status, path, reply->detail[0] ? reply->detail : NULL);
		reply->len = reply->body ? strlen(reply->body) : 0;
		reply->content_type = PROBLEM_CONTENT_TYPE;
	}
	response = MHD_create_response_from_buffer(reply->len, reply->body, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(reply->body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
	result = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}

static void refuse(struct reply *reply, unsigned int status, const char *detail)
{
	reply->status = status;
	strncpy(reply->detail, detail, sizeof(reply->detail) - 1);
}

/* What the headers say about where the request comes from and whom it is for. */
static void check_headers(const struct listener *listener, struct MHD_Connection *connection,
			  struct reply *reply)
{
	const char *address = listener->web->config.listen_address;
	const char *host, *origin;

	if (listener->local)
		return;
	host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
	origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ORIGIN);
	if (!host || !guard_host(host, address))
		refuse(reply, 421, "the Host header names another host than this one");
	else if (origin && !guard_origin(origin, address))
		refuse(reply, 403, "the Origin header names another site than this one");
}

static void check_writer(const struct listener *listener, struct MHD_Connection *connection,
			 const struct exchange *exchange, struct reply *reply)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	if (!listener->local)
		refuse(reply, 403,
		       "TCP is read-only; what changes something needs the unix socket");
	else if (!info || !guard_peer(info->connect_fd))
		refuse(reply, 403,
		       "only root, the daemon's own user and the group umbra may do this");
	else if (exchange->too_large)
		refuse(reply, 413, "the body is larger than 4096 bytes");
}

/* The whole request is there. Fills @reply, or says that its answer must wait. */
static void dispatch(const struct listener *listener, struct exchange *exchange, const char *method,
		     struct request *request, struct reply *reply, const char **ret_allow)
{
	bool read = !strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD);
	const struct route *route;

	check_headers(listener, exchange->connection, reply);
	if (reply->status)
		return;
	route = route_find(request->path, request->id, sizeof(request->id));
	if (!route) {
		refuse(reply, 404, "nothing is served under this path");
	} else if (read) {
		route->get(request, reply);
	} else if (route->put && !strcmp(method, MHD_HTTP_METHOD_PUT)) {
		check_writer(listener, exchange->connection, exchange, reply);
		if (!reply->status)
			route->put(request, reply);
	} else {
		refuse(reply, 405, "this path does not have that method");
		*ret_allow = route->put ? "GET, HEAD, PUT" : "GET, HEAD";
	}
}

static const char *lookup_query(void *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result answer(struct listener *listener, struct exchange *exchange,
			      const char *path, const char *method)
{
	struct web *web = listener->web;
	struct request request = {
		.web = &web->config,
		.path = path,
		.body = exchange->body,
		.body_len = exchange->len,
		.wish = &exchange->wish,
		.query = lookup_query,
		.context = exchange->connection,
	};
	struct reply reply = {0};
	const char *allow = NULL;
	enum MHD_Result result;

	request.snapshot = board_acquire(web->config.board);
	if (!request.snapshot) {
		refuse(&reply, 503, "nothing has been measured yet");
	} else if (exchange->waiting) {
		strcpy(request.id, exchange->wish.id);
		web_wish_reply(&request, &reply);
	} else {
		dispatch(listener, exchange, method, &request, &reply, &allow);
	}
	if (reply.wait) {
		exchange->waiting = true;
		exchange->wish.done = wish_done;
		MHD_suspend_connection(exchange->connection);
		web->config.ask(web->config.context, &exchange->wish);
		result = MHD_YES;
	} else {
		result = send_reply(exchange->connection, path, &reply, allow);
	}
	snapshot_unref(request.snapshot);
	return result;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
				  const char *path, const char *method, const char *version,
				  const char *upload, size_t *upload_len, void **ret_exchange)
{
	struct exchange *exchange = *ret_exchange;

	if (!exchange) {
		exchange = calloc(1, sizeof(*exchange));
		if (!exchange)
			return MHD_NO;
		exchange->connection = connection;
		*ret_exchange = exchange;
		return MHD_YES;
	}
	if (*upload_len) {
		if (*upload_len > BODY_MAX - exchange->len) {
			exchange->too_large = true;
		} else {
			memcpy(exchange->body + exchange->len, upload, *upload_len);
			exchange->len += *upload_len;
		}
		*upload_len = 0;
		return MHD_YES;
	}
	return answer(context, exchange, path, method);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **exchange,
			 enum MHD_RequestTerminationCode code)
{
	free(*exchange);
	*exchange = NULL;
}

int web_create(const struct web_config *config, struct web **ret_web)
{
	struct web *web = calloc(1, sizeof(*web));

	if (!web)
		return -ENOMEM;
	web->config = *config;
	*ret_web = web;
	return 0;
}

int web_listen(struct web *web, int fd, bool local)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return -ENOMEM;
	listener->web = web;
	listener->local = local;
	listener->daemon = MHD_start_daemon(
		MHD_USE_AUTO_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request,
		listener, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
		NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_SECONDS, MHD_OPTION_END);
	if (!listener->daemon) {
		free(listener);
		return -EIO;
	}
	listener->next = web->listeners;
	web->listeners = listener;
	return 0;
}

void web_destroy(struct web *web)
{
	if (!web)
		return;
	while (web->listeners) {
		struct listener *listener = web->listeners;

		web->listeners = listener->next;
		MHD_stop_daemon(listener->daemon);
		free(listener);
	}
	free(web);
}
