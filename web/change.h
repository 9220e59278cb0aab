/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An operator's wish: a guest's mode or policy is to change. From the web to whoever carries it
 * out. */
#ifndef WEB_CHANGE_H
#define WEB_CHANGE_H

#include <stdbool.h>

#include "policy/policy.h"
#include "policy/record.h"

struct web_change {
	char id[128];
	bool has_mode; /* switch to mode and pin it; else: policy decides from now on */
	enum umbra_mode mode;
	enum policy_kind policy;

	/* The answer, filled before web_change_done(). */
	int error;        /* 0, -ENOENT, -EPERM (the guest cannot), -ETIMEDOUT, -EIO */
	char detail[256]; /* why not */
	bool switched;
	struct switch_record record; /* its reason is a static string */
};

/* The change was carried out, or was not: the answer goes out. Any thread, once. */
void web_change_done(struct web_change *change);

#endif
