/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operators' wishes on their way from the web's threads to the daemon's, to a worker, and back. A
 * guest gets them one after the other.
 */
#ifndef DAEMON_CHANGES_H
#define DAEMON_CHANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/registry.h"
#include "web/change.h"

struct changes;

/* *ret_fd becomes readable when something was asked for; it belongs to the queue. */
struct changes *changes_create(int *ret_fd);
void changes_destroy(struct changes *changes);

/* From any thread; web_config's change function, with the queue as context. */
void changes_ask(void *changes, struct web_change *change);

/* Takes what was asked for since and sends it to the workers, or answers at once where it cannot.
 */
void changes_begin(struct changes *changes, struct registry *registry);

/*
 * A worker answered. The answer to the operator waits until the caller has published a snapshot
 * that shows it: it then calls changes_finish(). -EBADMSG: nobody asked for that.
 */
int changes_answered(struct changes *changes, struct guest *guest,
		     const struct message_changed *message);
/* Answers those whose time is over and all of guests that are gone. */
void changes_check(struct changes *changes, struct registry *registry);
bool changes_finished(const struct changes *changes);
void changes_finish(struct changes *changes);
/* Answers everything that is asked for, now and later, with "stopping". */
void changes_close(struct changes *changes, struct registry *registry);

#endif
