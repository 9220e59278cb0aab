/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connections of a listening socket. Whoever opens many, or is slow, must not keep others out:
 * each request, from the end of the one before to the last byte of its answer, has a time; and when
 * too many are open, the peer that has most of them loses one for each new one.
 */
#ifndef WEB_CONNECTIONS_H
#define WEB_CONNECTIONS_H

#include <stdbool.h>
#include <time.h>

struct sockaddr;
struct connection;
struct connections;

/* @most: how many may be open. NULL: out of memory. */
struct connections *connections_create(unsigned int most);
/* All must have ended. */
void connections_destroy(struct connections *connections);

/*
 * A new one, of @address; of a unix socket, whose @address is NULL, the peer is its user. NULL: out
 * of memory. The socket stays the caller's, who closes it after connection_end().
 */
struct connection *connection_begin(struct connections *connections, int fd,
				    const struct sockaddr *address, time_t now);
/* A whole request is there, or its answer is sent. @connection may be NULL. */
void connection_request(struct connection *connection);
void connection_answered(struct connection *connection, time_t now);
void connection_end(struct connection *connection);

/* Shuts down those whose time is over: whoever serves them sees their end. From any thread. */
void connections_sweep(struct connections *connections, time_t now, time_t seconds);

#endif
