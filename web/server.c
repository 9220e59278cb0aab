/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web/answer.h"
#include "web/connections.h"
#include "web/examine.h"
#include "web/problem.h"
#include "web/routes.h"
#include "web/server.h"

enum {
	BODY_MAX = 4096,
	DRAIN_MAX = 64 * 1024, /* more of a body is not even read */
	TCP_MAX = 128,         /* open connections */
	LOCAL_MAX = 64,
	CLOSING_MAX = 32, /* more, that were shut down and have not ended yet */
	CONNECTION_MEMORY = 32 * 1024,
	REQUEST_SECONDS = 30,
};

struct listener {
	struct web *web;
	struct MHD_Daemon *daemon;
	struct connections *connections;
	bool local;
	struct listener *next;
};

struct web {
	struct web_config config;
	struct bodies forever;
	struct web_statistics statistics;
	struct listener *listeners;
};

/* One request on its way; libmicrohttpd calls back with it as pieces arrive. */
struct exchange {
	struct web_wish wish; /* first: wish_done() gets from it to here */
	struct listener *listener;
	struct MHD_Connection *connection;
	struct target target;
	unsigned int refused; /* by target_parse() */
	const char *why;
	bool begun; /* its headers are there */
	bool last;  /* of its connection, which is closed then */
	bool too_large;
	bool waiting; /* suspended until the wish is done */
	size_t read;  /* of its body, also what was too much */
	size_t len;
	char body[BODY_MAX + 1];
};

static time_t monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static struct connection *connection_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void wish_done(struct web_wish *wish)
{
	struct exchange *exchange = (struct exchange *)wish;

	MHD_resume_connection(exchange->connection);
}

/* Headers of every answer. */
static void add_headers(struct MHD_Response *response, const char *content_type,
			const char *cache_control)
{
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, cache_control);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
}

static enum MHD_Result queue(struct exchange *exchange, unsigned int status,
			     struct MHD_Response *response)
{
	enum MHD_Result result = MHD_queue_response(exchange->connection, status, response);

	if (result == MHD_YES)
		web_count_answer(&exchange->listener->web->statistics,
				 exchange->listener->local ? LISTENER_UNIX : LISTENER_TCP, status);
	MHD_destroy_response(response);
	return result;
}

/* A problem, or the answer to a wish: nobody keeps it. */
static enum MHD_Result send_reply(struct exchange *exchange, struct reply *reply, const char *allow)
{
	struct MHD_Response *response;

	if (reply->status >= 400) {
		free(reply->body);
		reply->body = web_problem(reply->status, exchange->target.path,
					  reply->detail[0] ? reply->detail : NULL);
		reply->len = reply->body ? strlen(reply->body) : 0;
		reply->content_type = PROBLEM_CONTENT_TYPE;
	}
	response = MHD_create_response_from_buffer(reply->len, reply->body, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(reply->body);
		return MHD_NO;
	}
	add_headers(response, reply->content_type, "no-store");
	if (allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
	if (exchange->last)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	return queue(exchange, reply->status, response);
}

static void free_body(void *body)
{
	body_unref(body);
}

/* Takes over @body's reference. */
static enum MHD_Result send_body(struct exchange *exchange, const struct route *route,
				 struct body *body)
{
	struct MHD_Connection *connection = exchange->connection;
	struct lines lines;
	unsigned int status = MHD_HTTP_OK;
	struct MHD_Response *response;

	if (accept_has(header_list(connection, MHD_HTTP_HEADER_IF_NONE_MATCH, &lines), body->etag))
		status = MHD_HTTP_NOT_MODIFIED;
	/* A 304 has the length of the body that it does not bring. */
	response = MHD_create_response_from_buffer_with_free_callback_cls(body->len, body->data,
									  free_body, body);
	if (!response) {
		body_unref(body);
		return MHD_NO;
	}
	add_headers(response, body->content_type, "no-cache");
	MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, body->etag);
	MHD_add_response_header(response, MHD_HTTP_HEADER_VARY,
				route->nr_offers ? "Accept, Accept-Encoding" : "Accept-Encoding");
	if (body->gzip)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	return queue(exchange, status, response);
}

/* Hands the exchange's wish on; its answer comes when it is done. */
static enum MHD_Result wait_for_wish(struct web *web, struct exchange *exchange)
{
	exchange->waiting = true;
	exchange->wish.done = wish_done;
	MHD_suspend_connection(exchange->connection);
	web->config.ask(web->config.context, &exchange->wish);
	return MHD_YES;
}

static enum MHD_Result answer_route(struct web *web, struct exchange *exchange,
				    const struct route *route, bool put, struct request *request)
{
	struct MHD_Connection *connection = exchange->connection;
	struct lines accept, coding;
	struct reply reply = {0};
	struct body *body = NULL;
	enum coding wanted;

	if (put) {
		route->put(request, &reply);
	} else {
		wanted = accept_coding(
			header_list(connection, MHD_HTTP_HEADER_ACCEPT_ENCODING, &coding));
		if (wanted == CODING_NONE)
			refuse(&reply, 406, "Accept-Encoding refuses gzip and identity");
		else
			body = answer_get(route, request, &web->forever,
					  header_list(connection, MHD_HTTP_HEADER_ACCEPT, &accept),
					  wanted, &reply);
	}
	if (body)
		return send_body(exchange, route, body);
	if (reply.wait)
		return wait_for_wish(web, exchange);
	return send_reply(exchange, &reply, NULL);
}

/* The whole request is there, or a wish was answered. */
static enum MHD_Result answer(struct listener *listener, struct exchange *exchange,
			      const char *method)
{
	struct web *web = listener->web;
	struct request request = {
		.web = &web->config,
		.statistics = &web->statistics,
		.target = &exchange->target,
		.body = exchange->body,
		.body_len = exchange->len,
		.wish = &exchange->wish,
	};
	struct reply reply = {0};
	const char *allow = NULL;
	const struct route *route = NULL;
	enum MHD_Result result;

	request.snapshot = board_acquire(web->config.board);
	if (!request.snapshot) {
		refuse(&reply, 503, "nothing has been measured yet");
	} else if (exchange->waiting) {
		strcpy(request.id, exchange->wish.id);
		web_wish_reply(&request, &reply);
	} else if (exchange->refused) {
		refuse(&reply, exchange->refused, "%s", exchange->why);
	} else {
		const struct inquiry inquiry = {
			.connection = exchange->connection,
			.target = &exchange->target,
			.method = method,
			.listen_address = web->config.listen_address,
			.local = listener->local,
			.too_large = exchange->too_large,
		};

		route = examine_request(&inquiry, &request, &reply, &allow);
	}
	if (route)
		result = answer_route(web, exchange, route, !strcmp(method, MHD_HTTP_METHOD_PUT),
				      &request);
	else
		result = send_reply(exchange, &reply, allow);
	snapshot_unref(request.snapshot);
	return result;
}

/*
 * The headers are there. Most of what refuses the request is said when all of its body was read, or
 * a client that still sends would not see it; but nobody reads for ever, nor what has no clear end.
 */
static enum MHD_Result begin(struct exchange *exchange)
{
	const char *length = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_CONTENT_LENGTH);
	struct reply reply = {0};

	exchange->begun = true;
	examine_framing(exchange->connection, &reply);
	if (!reply.status && length && strtoull(length, NULL, 10) > DRAIN_MAX)
		refuse(&reply, 413, "the body is larger than 4096 bytes");
	exchange->last = reply.status != 0;
	return reply.status ? send_reply(exchange, &reply, NULL) : MHD_YES;
}

/* One more piece of the body. */
static enum MHD_Result take_upload(struct exchange *exchange, const char *upload, size_t len)
{
	exchange->read += len;
	if (exchange->read > BODY_MAX) {
		exchange->too_large = true;
		return exchange->read > DRAIN_MAX ? MHD_NO : MHD_YES;
	}
	memcpy(exchange->body + exchange->len, upload, len);
	exchange->len += len;
	return MHD_YES;
}

static void *on_target(void *context, const char *text, struct MHD_Connection *connection)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	if (!exchange)
		return NULL;
	exchange->listener = context;
	exchange->connection = connection;
	exchange->refused = target_parse(text, &exchange->target, &exchange->why);
	return exchange;
}

/* target_parse() decodes, after it has split. */
static size_t leave_encoded(void *context, struct MHD_Connection *connection, char *text)
{
	return strlen(text);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
				  const char *path, const char *method, const char *version,
				  const char *upload, size_t *upload_len, void **ret_exchange)
{
	struct exchange *exchange = *ret_exchange;

	if (!exchange)
		return MHD_NO;
	if (!exchange->begun)
		return begin(exchange);
	if (*upload_len) {
		enum MHD_Result result = take_upload(exchange, upload, *upload_len);

		*upload_len = 0;
		return result;
	}
	connection_request(connection_of(connection));
	return answer(context, exchange, method);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **exchange,
			 enum MHD_RequestTerminationCode code)
{
	struct exchange *done = *exchange;

	connection_answered(connection_of(connection), monotonic());
	if (done)
		free(done->wish.translation);
	free(done);
	*exchange = NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **ret_connection,
			  enum MHD_ConnectionNotificationCode code)
{
	struct listener *listener = context;
	const union MHD_ConnectionInfo *fd =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	const union MHD_ConnectionInfo *address =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	if (code == MHD_CONNECTION_NOTIFY_STARTED && fd)
		*ret_connection = connection_begin(
			listener->connections, fd->connect_fd,
			listener->local || !address ? NULL : address->client_addr, monotonic());
	else
		connection_end(*ret_connection);
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
	unsigned int most = local ? LOCAL_MAX : TCP_MAX;

	if (!listener)
		return -ENOMEM;
	listener->web = web;
	listener->local = local;
	listener->connections = connections_create(most);
	if (listener->connections)
		listener->daemon =
			MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0,
					 NULL, NULL, on_request, listener, MHD_OPTION_LISTEN_SOCKET,
					 fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
					 MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener,
					 MHD_OPTION_URI_LOG_CALLBACK, on_target, listener,
					 MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL,
					 MHD_OPTION_CONNECTION_LIMIT, most + CLOSING_MAX,
					 MHD_OPTION_CONNECTION_MEMORY_LIMIT,
					 (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
	if (!listener->daemon) {
		connections_destroy(listener->connections);
		free(listener);
		return -EIO;
	}
	listener->next = web->listeners;
	web->listeners = listener;
	return 0;
}

void web_sweep(struct web *web)
{
	for (struct listener *listener = web ? web->listeners : NULL; listener;
	     listener = listener->next)
		connections_sweep(listener->connections, monotonic(), REQUEST_SECONDS);
}

void web_destroy(struct web *web)
{
	if (!web)
		return;
	while (web->listeners) {
		struct listener *listener = web->listeners;

		web->listeners = listener->next;
		MHD_stop_daemon(listener->daemon);
		connections_destroy(listener->connections);
		free(listener);
	}
	bodies_clear(&web->forever);
	free(web);
}
