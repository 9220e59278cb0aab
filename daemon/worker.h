/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

/* The role of a worker: runs one guest as the socket @fd says. The exit status. */
int worker_run(int fd);

#endif
