/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wishes on their way from the web's threads to the daemon's, to a worker, and back. A guest gets
 * them one after the other.
 */
#ifndef DAEMON_WISHES_H
#define DAEMON_WISHES_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/registry.h"
#include "web/wish.h"

/* How often in a second a guest lets itself be interrupted for whoever only reads. */
enum { WISHES_TRANSLATE_PER_SECOND = 10 };

struct wishes;

/* *ret_fd becomes readable when something was asked for; it belongs to the queue. */
struct wishes *wishes_create(int *ret_fd);
void wishes_destroy(struct wishes *wishes);

/* From any thread; web_config's ask function, with the queue as context. */
void wishes_ask(void *wishes, struct web_wish *wish);

/* Takes what was asked for since and sends it to the workers, or answers at once where it cannot.
 */
void wishes_begin(struct wishes *wishes, struct registry *registry);

/*
 * A worker answered. Where that changed something, the answer to whoever asked waits until the
 * caller has published a snapshot that shows it: it then calls wishes_finish(). What an operator
 * set waits for the journal too. -EBADMSG: nobody asked for that.
 */
int wishes_answered(struct wishes *wishes, struct guest *guest, const struct message *message);
/* Answers those whose time is over and all of guests that are gone. */
void wishes_check(struct wishes *wishes, struct registry *registry);
/* Answers all of a guest that is about to be removed. */
void wishes_drop(struct guest *guest);
/* What has this ticket of the journal's, or an earlier one, is on the disk. */
void wishes_settled(struct wishes *wishes, uint64_t ticket);
bool wishes_finished(const struct wishes *wishes);
void wishes_finish(struct wishes *wishes);
/* Answers everything that is asked for, now and later, with "stopping". */
void wishes_close(struct wishes *wishes, struct registry *registry);

#endif
