/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_LOAD_H
#define DAEMON_LOAD_H

#include "daemon/configuration.h"

/*
 * config_load() for a program that begins: what is wrong is logged. 0, and config_free() is the
 * caller's; else the exit status.
 */
int load_config(const struct config_source *source, struct config *ret_config);

#endif
