/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The HTTP server. One thread serves each listening socket. It reads snapshots and hands wishes on;
 * it knows nothing of workers, and no request reaches a guest's memory.
 */
#ifndef WEB_SERVER_H
#define WEB_SERVER_H

#include <stdbool.h>
#include <time.h>

#include "web/wish.h"
#include "web/history.h"
#include "web/snapshot.h"

struct web;

struct web_config {
	struct board *board;
	struct web_history history;
	time_t started;
	/* For the Host check: the address that TCP listens on, without brackets. */
	const char *listen_address;
	/*
	 * Asked for from a server thread; must not wait. Each @wish is answered
	 * by its done() sooner or later, and before web_destroy().
	 */
	void (*ask)(void *context, struct web_wish *wish);
	void *context;
};

/* @config is copied, its pointers are borrowed. 0 or a negative errno. */
int web_create(const struct web_config *config, struct web **ret_web);
/*
 * Serves a listening socket, which the web then owns. @local: a unix socket, whose peers have
 * credentials; TCP is read-only and checks Host and Origin.
 */
int web_listen(struct web *web, int fd, bool local);
/* To be called once a second: ends connections that take too long. @web may be NULL. */
void web_sweep(struct web *web);
void web_destroy(struct web *web);

#endif
