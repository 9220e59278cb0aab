/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What umbra explain shows of an access: as text and as JSON. */
#ifndef CLIENT_EXPLANATION_H
#define CLIENT_EXPLANATION_H

#include <jansson.h>

#include "client/options.h"
#include "umbra/explain.h"

/* To standard output. The last line is "N references, N exits, HPA 0x...", or how else it ends. */
void explanation_print(const struct options *options, enum umbra_mode mode,
		       const struct umbra_explanation *explanation);
/* docs/paging.md has its fields. NULL: out of memory. */
json_t *explanation_json(const struct options *options, enum umbra_mode mode,
			 const struct umbra_explanation *explanation);

#endif
