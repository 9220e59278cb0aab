/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What somebody asks of the daemon that no snapshot can answer: from a thread of the web to whoever
 * carries it out, and back with the answer.
 */
#ifndef WEB_WISH_H
#define WEB_WISH_H

#include <stdbool.h>

#include "policy/policy.h"
#include "policy/record.h"
#include "umbra/translate.h"

enum web_wish_kind {
	WISH_MODE,      /* a guest's mode or policy is to change */
	WISH_TRANSLATE, /* where does an address of a guest lead? */
	WISH_FREEZE,    /* no guest is to switch, or all may again */
	WISH_KIND_COUNT,
};

struct web_wish {
	enum web_wish_kind kind;
	char id[128]; /* of the guest */

	/* WISH_MODE */
	bool has_mode; /* switch to mode first */
	enum umbra_mode mode;
	enum policy_kind policy; /* that decides from then on */
	bool configured;         /* the configuration asks for it, not an operator */

	/* WISH_FREEZE */
	bool frozen;

	/* WISH_TRANSLATE */
	uint64_t gva;
	unsigned int cpu;
	enum umbra_explain_access access;

	/*
	 * The answer, filled before done(): 0, -ENOENT, -EPERM (the guest cannot), -EINVAL (it has
	 * no such thing), -EBUSY (asked for too often), -ETIMEDOUT, -ESHUTDOWN, ...
	 */
	int error;
	char detail[256];                      /* why not */
	bool switched;                         /* WISH_MODE */
	struct switch_record record;           /* if switched; its reason is a static string */
	struct umbra_translation *translation; /* WISH_TRANSLATE: whoever asked frees it */

	/* It was carried out, or was not. Called once, from any thread. */
	void (*done)(struct web_wish *wish);
};

#endif
