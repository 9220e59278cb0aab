/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lives of umbrad's guests: started, listened to, stopped, buried. */
#ifndef DAEMON_GUESTS_H
#define DAEMON_GUESTS_H

#include <stdbool.h>

#include "daemon/registry.h"
#include "daemon/umbrad.h"

/* The guest, which has no worker, is to start when its turn comes. */
void guests_start(struct umbrad *umbrad, struct guest *guest);
/*
 * Starts workers of guests whose turn it is: a few at once, so that a thousand leave umbrad a CPU
 * to answer with. What fails is the guest's end, and told. To be called before each wait.
 */
void guests_launch(struct umbrad *umbrad);
/*
 * A second has passed: workers that are hung, or do not stop, are killed, guests that fell start
 * anew when it is time.
 */
void guests_tick(struct umbrad *umbrad);
/* Children have died: takes their last words and says what became of their guests. */
void guests_reap(struct umbrad *umbrad);
/* Tells the guest's worker, if it has one, to stop; when it is gone the guest is removed. */
void guests_remove(struct guest *guest);
/* Likewise, but then the guest starts anew with @config, which becomes its own. */
void guests_renew(struct guest *guest, struct guest_config *config);
/* Tells the guest's worker to stop, or kills it. */
void guests_stop(struct guest *guest);
void guests_kill(struct guest *guest);
bool guests_any_worker(const struct umbrad *umbrad);

#endif
