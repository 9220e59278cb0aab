/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may ask, and for which name. */
#ifndef WEB_GUARD_H
#define WEB_GUARD_H

#include <stdbool.h>

/*
 * Whether a Host header ("name", "name:port", "[v6]:port") names this machine: localhost, a
 * loopback address or the @listen_address. Anything else may be another site's name that was made
 * to point here.
 */
bool guard_host(const char *host, const char *listen_address);
/* The same of an Origin header ("http://name:port"); "null" is refused. */
bool guard_origin(const char *origin, const char *listen_address);
/* Whether the peer of a unix socket may change something: root, our own user, the group umbra. */
bool guard_peer(int fd);

#endif
