/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef POLICY_RECORD_H
#define POLICY_RECORD_H

#include "umbra/guest.h"

/*
 * A switch with why it was made: "policy", "rollback", "operator", "schedule",
 * "configuration".
 */
struct switch_record {
	struct umbra_switch record;
	const char *reason; /* a static string */
};

#endif
