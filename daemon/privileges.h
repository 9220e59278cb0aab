/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who umbrad is: never root, whoever started it, and without any capability. And what umbra-collect
 * may do.
 */
#ifndef DAEMON_PRIVILEGES_H
#define DAEMON_PRIVILEGES_H

#include "umbra/error.h"

/*
 * Gives up for good what the process may do beyond an ordinary user: root becomes the user `umbra`,
 * or `nobody` where there is none, with that user's group and no others; any user loses its
 * capabilities. Then no program that it executes can get them back, and nobody traces it or reads
 * its memory but root. To be called before anything else is read. 0, or a negative errno: then the
 * process must end, for part of it may be done.
 */
int privileges_drop(struct umbra_error *ret_error);

/*
 * For umbra-collect: root becomes the user `umbra-collect`, or umbrad's where there is none, in the
 * group `umbra`. Of what it may do beyond an ordinary user any user keeps the capabilities that
 * collectors need, for good, and gains none by executing a program. 0, or a negative errno: then
 * the process must end.
 */
int privileges_limit(struct umbra_error *ret_error);

/*
 * Adds to an error of permission (-EACCES, -EPERM) as which user it happened, for who started
 * umbrad as root does not expect any. Leaves other errors as they are.
 */
void privileges_explain(struct umbra_error *error);

#endif
