/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a request whose target is known to the body that answers it; knows nothing of HTTP's wire.
 */
#ifndef WEB_ANSWER_H
#define WEB_ANSWER_H

#include "web/accept.h"
#include "web/body.h"
#include "web/routes.h"

/*
 * The body of a GET of @route, in the representation of @accept and with @coding: the one that was
 * made before for the same snapshot, or a new one that is kept for others; @forever keeps those
 * that no snapshot changes. With a reference of the caller's own. NULL: @reply says why not, or
 * that the answer must wait.
 */
struct body *answer_get(const struct route *route, struct request *request, struct bodies *forever,
			const char *accept, enum coding coding, struct reply *reply);

#endif
