/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sockets that umbrad listens on. */
#ifndef DAEMON_SOCKETS_H
#define DAEMON_SOCKETS_H

#include <stdint.h>

#include "umbra/error.h"

/* A listening TCP socket, or a negative errno. *ret_port: the port that it got. */
int sockets_listen_tcp(const char *address, uint16_t port, uint16_t *ret_port,
		       struct umbra_error *ret_error);
/*
 * A listening unix socket of @type, or a negative errno: for its owner and the group umbra, if
 * there is one. The last directory of @path is made if it is missing; a socket that nobody listens
 * on any more is replaced.
 */
int sockets_listen_unix(const char *path, int type, struct umbra_error *ret_error);

#endif
