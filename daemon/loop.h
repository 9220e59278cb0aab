/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one loop of a process: descriptors and who takes what they have to say. */
#ifndef DAEMON_LOOP_H
#define DAEMON_LOOP_H

/* Lies in what it is about; must stay there until loop_remove(), and then for the present turn. */
struct source {
	void (*ready)(void *context);
	void *context;
	int fd;
};

/* The loop's descriptor (close on exec), or a negative errno. */
int loop_create(void);
/* From now on ready(context) is called while @fd is readable or closed by the other end. */
int loop_add(int loop, struct source *source, int fd, void (*ready)(void *context), void *context);
/* Before its descriptor is closed: a child may hold a duplicate of it still. */
void loop_remove(int loop, struct source *source);
/* Waits at most so long (-1: for ever) and calls whoever is ready. 0 or a negative errno. */
int loop_turn(int loop, int timeout_ms);

#endif
