/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading the configuration anew while guests run. */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include "daemon/umbrad.h"

/*
 * Reads the configuration from where it came. If something is wrong with it, all stays as it is and
 * that is told. Else guests that are new start, those that are gone stop, those that need another
 * worker get it, and modes and policies that are others now are asked for.
 */
void reload(struct umbrad *umbrad);

#endif
