/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory in which umbrad tells all its workers something at once, even one that does not listen
 * at the moment. umbrad creates and seals it: workers can map it for reading only.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

struct control;

/* New control memory and its descriptor (close on exec), to be sent to workers. NULL and errno. */
struct control *control_create(int *ret_fd);
/* A worker's view of it. NULL and errno. */
const struct control *control_map(int fd);
void control_unmap(const struct control *control); /* may be NULL */

/* No guest is to switch its mode; nobody waits for anything. */
void control_set_frozen(struct control *control, bool frozen);
bool control_frozen(const struct control *control);

#endif
